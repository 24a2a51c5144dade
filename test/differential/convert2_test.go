//go:build differential

package differential

import (
	"bufio"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// http2Name stands in front of the names of requests in HTTP/2.
const http2Name = "http2 "

// share2 is which part of the requests about routes is sent in HTTP/2 too: one of so many.
const share2 = 4

// alsoHTTP2 adds requests in HTTP/2 to those about routes: a seeded share, and all of them where backends get HTTP/2 anyway.
func alsoHTTP2(list []*request, seed uint64) []*request {
	r := rand.New(rand.NewPCG(seed, 2))
	out := list
	for _, one := range list {
		if chosen := r.IntN(share2) == 0; chosen || one.to.protocol == mesh.ProtocolHTTP2 {
			if two := inHTTP2(one); two != nil {
				out = append(out, two)
			}
		}
	}
	return out
}

// inHTTP2 is a request of HTTP/1.1 as HTTP/2 says it, or nil where it has no meaning there: syntax of lines, forms of target,
// framing, and management of connections.
func inHTTP2(r *request) *request {
	head, body, whole := strings.Cut(r.raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	start := strings.Split(lines[0], " ")
	if !whole || len(start) != 3 || start[2] != "HTTP/1.1" || start[1] != "*" && !strings.HasPrefix(start[1], "/") {
		return nil
	}
	s := &stream2{head: []string{":method: " + start[0], ":scheme: http"}}
	named, chunked := false, false
	for _, line := range lines[1:] {
		name, value, found := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		switch {
		case !found, name == "", name == "upgrade":
			return nil
		case name == "host" && !named:
			named = true
			s.head = append(s.head, ":authority: "+value)
		case name == "connection":
			if value != "TE" {
				return nil
			}
		case name == "transfer-encoding":
			if chunked = strings.EqualFold(value, "chunked"); !chunked || r.malformed {
				return nil
			}
		default:
			s.head = append(s.head, name+": "+value)
		}
	}
	if te := joined(s.head)["te"]; !named || te != "" && te != "trailers" {
		return nil
	}
	s.head = pseudoFirst(s.head, ":path: "+start[1])
	switch {
	case chunked && r.then == "":
		m := &message{fields: []string{"Transfer-Encoding: chunked"}}
		if readBody(bufio.NewReader(strings.NewReader(body)), m, false) != nil {
			return nil
		}
		s.body = []string{m.body}
		for _, line := range m.trailers {
			s.trailers = append(s.trailers, strings.ToLower(line))
		}
	case body != "":
		s.body = []string{body}
		// A length that is never reached leaves the stream open; ended, it would be malformed.
		length, err := strconv.Atoi(joined(s.head)["content-length"])
		s.open = err == nil && length > len(body) && !r.malformed
	}
	out := *r
	out.name, out.http2 = http2Name+r.name, s
	if chunked && r.then != "" {
		out.then = "hello"
	}
	return &out
}

// pseudoFirst puts pseudo-header fields in front (RFC 9113 section 8.3).
func pseudoFirst(lines []string, path string) []string {
	var pseudo, regular []string
	for _, line := range lines {
		if strings.HasPrefix(line, ":") {
			pseudo = append(pseudo, line)
		} else {
			regular = append(regular, line)
		}
	}
	return append(append(pseudo, path), regular...)
}
