// Package smuggling holds, as data, what proxies have been tricked with: bytes that two readers of HTTP were seen to
// understand in two ways. Every codec and the whole proxy are tested with the same tables.
package smuggling

import "strings"

// Case is what a client sends on one HTTP/1.1 connection, at once, before it ends its side.
type Case struct {
	// RFC is the section that decides, "9112 6.3".
	RFC  string
	Name string
	Raw  string
	// Reaches are the requests that a backend gets, in order, and nothing else.
	Reaches []Request
	// Status and Says are of the refusal that ends the connection: its status, and words of its reason. Zero: nothing
	// is refused.
	Status int
	Says   string
}

// Request is how a backend must read a request that was passed on, whatever reader it uses.
type Request struct{ Method, Target, Host, Body string }

// hidden is the request that must not arrive: 31 octets, as some cases say in their Content-Length.
const hidden = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"

// Hidden is the target of the requests that are hidden in others. A backend that gets a request with this target was
// reached by a smuggled one.
const Hidden = "/evil"

// post is a POST with field lines (each with its own line end) and what follows the head.
func post(fields, rest string) string {
	return "POST / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + rest
}

// get likewise.
func get(fields, rest string) string {
	return "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + rest
}

// posted and got are what reaches the backend of these.
func posted(body string) []Request { return []Request{{"POST", "/", "h", body}} }
func got(body string) []Request    { return []Request{{"GET", "/", "h", body}} }

// Cases is the table, by what is attacked.
func Cases() []Case {
	var all []Case
	for _, group := range [][]Case{bothLengths, codings, lengths, chunks, lines, names, targets, hosts, connections, pipelines, expectations} {
		all = append(all, group...)
	}
	return all
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
