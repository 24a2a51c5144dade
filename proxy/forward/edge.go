package forward

import (
	"github.com/leno-mesh/leno/proxy/msg"
)

// Edge is what a gateway tells backends about a client from outside of the mesh, who is believed nothing.
type Edge struct {
	// Client is the address of the client, without port.
	Client []byte
	// TLS tells that the client's connection is one of TLS.
	TLS bool
}

var (
	forwardedFor   = []byte("x-forwarded-for")
	forwardedProto = []byte("x-forwarded-proto")
	schemeHTTP     = []byte("http")
	schemeHTTPS    = []byte("https")
)

// scheme is that of the URLs that clients of the connection ask for.
func (c *Conn) scheme() string {
	if c.Edge != nil && c.Edge.TLS {
		return "https"
	}
	return "http"
}

// mark adds the client's address to those that the request has come by so far, in one line, so that the last part of it is always
// ours; says which scheme was asked for, whatever the client claims; and makes the path normal.
func (e *Edge) mark(r *msg.Request) {
	if e == nil {
		return
	}
	r.Path = normal(r.Path)
	value := e.Client
	if _, ok := r.Fields.Get("x-forwarded-for"); ok {
		value = nil
		for i := range r.Fields {
			if msg.EqualName(r.Fields[i].Name, "x-forwarded-for") && len(r.Fields[i].Value) > 0 {
				value = append(append(value, r.Fields[i].Value...), ", "...)
			}
		}
		value = append(value, e.Client...)
		r.Fields.Remove("x-forwarded-for")
	}
	r.Fields.Add(forwardedFor, value)
	r.Fields.Remove("x-forwarded-proto")
	scheme := schemeHTTP
	if e.TLS {
		scheme = schemeHTTPS
	}
	r.Fields.Add(forwardedProto, scheme)
}
