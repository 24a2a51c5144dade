// Package layer says what a step on a request's way is: a change of its head, or of its response's head. Each layer is
// a package of its own, compiled from config; which ones apply to a backend, and in which order, is decided on one page
// in proxy/plan.
package layer

import "github.com/leno-mesh/leno/proxy/msg"

// Request changes the head of a request on its way to the backend. It is immutable and safe for concurrent use.
type Request interface{ Request(*msg.Request) }

// Response changes the head of a response on its way to the client. It is immutable and safe for concurrent use.
type Response interface{ Response(*msg.Response) }
