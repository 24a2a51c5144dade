//go:build differential

package differential

import (
	"maps"
	"slices"
	"strings"
)

// adder adds a request to a Service of the wire configuration.
type adder func(service, what string, r request)

// wireRequests2 are those to the port that gets HTTP/2 by declaration, and all that are sent in HTTP/2.
func wireRequests2(inHTTP1 []*request, add adder) []*request {
	toDeclared(add)
	for _, answer := range slices.Sorted(maps.Keys(answers2)) {
		for _, method := range []string{"GET", "POST"} {
			c := call{method: method, path: "/", host: "declared"}.with("X-Answer: " + answer)
			r := request{http2: inHTTP2(&request{raw: c.raw()}).http2, again: true}
			for _, service := range []string{"declared", "plain"} {
				add(service, "answer "+answer+" to "+method, r)
			}
		}
	}
	for _, service := range []string{"plain", "declared"} {
		for _, text := range legal2 {
			add(service, "legal "+text.name, request{http2: &text.stream2, then: text.then, again: text.then == ""})
		}
		for _, text := range malformed2 {
			add(service, "malformed "+text.name, request{http2: &text.stream2, malformed: true})
		}
	}
	for _, service := range []string{"plain", "declared", "refused", "none", "routed"} {
		for _, text := range grpc2 {
			add(service, text.name, request{http2: &text.stream2})
		}
	}
	var out []*request
	for _, r := range inHTTP1 {
		// Of the methods for each answer GET is enough.
		if answer := strings.Contains(r.name, "/answer "); answer && !strings.HasSuffix(r.name, " to GET") || only1(r.name) {
			continue
		}
		if two := inHTTP2(r); two != nil {
			out = append(out, two)
		}
	}
	return out
}

// toDeclared adds the requests of HTTP/1.1 clients whose backends get HTTP/2. Of the methods GET is enough.
func toDeclared(add adder) {
	list := slices.Sorted(maps.Keys(answers2))
	for _, answer := range slices.Sorted(maps.Keys(answers)) {
		if !onlyHTTP1[answer] {
			list = append(list, answer)
		}
	}
	for _, answer := range list {
		c := call{method: "GET", path: "/", host: "declared"}.with("X-Answer: " + answer)
		add("declared", "answer "+answer+" to GET", request{raw: c.raw(), again: true})
	}
	for _, text := range slices.Concat(bodies, legal) {
		add("declared", "legal "+text.name, request{raw: text.raw, then: text.then})
	}
}

// only1 tells of requests for answers that only HTTP/1.1 has.
func only1(name string) bool {
	_, answer, found := strings.Cut(name, "/answer ")
	answer, _, _ = strings.Cut(answer, " to ")
	return found && onlyHTTP1[answer]
}

// text2 is a stream as it is sent, with what is sent after an interim answer or through a tunnel.
type text2 struct {
	name string
	stream2
	then string
}

// asked is a request for a path, with more field lines.
func asked(lines ...string) stream2 {
	return stream2{head: append([]string{":method: GET", ":scheme: http", ":authority: plain", ":path: /"}, lines...)}
}

// posted is a request with a body.
func posted(body []string, lines ...string) stream2 {
	return stream2{head: append([]string{":method: POST", ":scheme: http", ":authority: plain", ":path: /"}, lines...), body: body}
}

func (s stream2) trailed(lines ...string) stream2 {
	s.trailers = lines
	return s
}

func (s stream2) left() stream2 {
	s.open = true
	return s
}

func only2(lines ...string) stream2 { return stream2{head: lines} }

var hello2 = []string{"hello"}

func webSocket(lines ...string) stream2 {
	return stream2{head: append([]string{":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: plain", ":path: /chat",
		"sec-websocket-version: 13"}, lines...)}
}

var legal2 = []text2{
	{name: "Host for authority", stream2: only2(":method: GET", ":scheme: http", ":path: /", "host: plain")},
	{name: "Host equal to authority", stream2: asked("host: plain")},
	{name: "pseudo-header fields in another order", stream2: only2(":path: /", ":authority: plain", ":scheme: http", ":method: GET")},
	{name: "scheme https", stream2: only2(":method: GET", ":scheme: https", ":authority: plain", ":path: /")},
	{name: "other authority", stream2: only2(":method: GET", ":scheme: http", ":authority: Example.org:8080", ":path: /")},
	{name: "no authority", stream2: only2(":method: GET", ":scheme: http", ":path: /")},
	{name: "empty authority", stream2: only2(":method: GET", ":scheme: http", ":authority: ", ":path: /")},
	{name: "odd method", stream2: only2(":method: FLY", ":scheme: http", ":authority: plain", ":path: /")},
	{name: "cookie crumbs", stream2: asked("cookie: a=1", "cookie: b=2", "x-a: 1", "cookie: c=3")},
	{name: "one cookie", stream2: asked("cookie: a=1; b=2")},
	{name: "TE trailers", stream2: asked("te: trailers")},
	{name: "priority", stream2: asked("priority: u=1, i")},
	{name: "body", stream2: posted(hello2)},
	{name: "body with length", stream2: posted(hello2, "content-length: 5")},
	{name: "body in frames", stream2: posted([]string{"he", "", "llo", ""})},
	{name: "body in frames with length", stream2: posted([]string{"he", "", "llo", ""}, "content-length: 5")},
	{name: "empty body by DATA", stream2: posted([]string{""})},
	{name: "length 0", stream2: posted(nil, "content-length: 0")},
	{name: "body of GET", stream2: stream2{head: asked().head, body: hello2}},
	{name: "big body", stream2: posted([]string{strings.Repeat("0123456789", 50000)}, "content-length: 500000")},
	{name: "big body and answer", stream2: posted([]string{strings.Repeat("0123456789", 50000)}, "x-answer: large")},
	{name: "trailers", stream2: posted(hello2, "trailer: x-sum").trailed("x-sum: 1", "x-more: a")},
	{name: "trailers without body", stream2: posted(nil).trailed("x-sum: 1")},
	{name: "trailers of GET", stream2: asked("te: trailers").trailed("x-sum: 1")},
	{name: "trailers that frame", stream2: posted(hello2).trailed("content-length: 3", "host: x", "x-sum: 1")},
	{name: "expected", stream2: posted(nil, "expect: 100-continue", "content-length: 5"), then: "hello"},
	{name: "early answer", stream2: posted(hello2, "x-answer: early-413").left()},
	{name: "CONNECT", stream2: only2(":method: CONNECT", ":authority: plain:80")},
	{name: "WebSocket", stream2: webSocket("x-answer: upgrade"), then: "ping"},
	{name: "WebSocket without CONNECT's answer", stream2: webSocket("x-answer: 404")},
	{name: "other protocol", stream2: only2(":method: CONNECT", ":protocol: foo", ":scheme: http", ":authority: plain", ":path: /", "x-answer: upgrade"), then: "ping"},
}

func rpc(lines ...string) stream2 {
	return stream2{head: append([]string{":method: POST", ":scheme: http", ":authority: plain", ":path: /shop.Cart/Add",
		"content-type: application/grpc", "te: trailers"}, lines...), body: []string{"\x00\x00\x00\x00\x02\x08\x01"}}
}

var grpc2 = []text2{
	{name: "grpc call", stream2: rpc("x-answer: h2 grpc")},
	{name: "grpc failure", stream2: rpc("x-answer: h2 grpc failed")},
	{name: "grpc trailers only", stream2: rpc("x-answer: h2 trailers only")},
	{name: "grpc with time", stream2: rpc("x-answer: h2 grpc", "grpc-timeout: 10S")},
	{name: "grpc without time", stream2: rpc("x-answer: slow", "grpc-timeout: 100m")},
	{name: "grpc with broken time", stream2: rpc("x-answer: h2 grpc", "grpc-timeout: soon")},
	{name: "grpc reset", stream2: rpc("x-answer: h2 internal error")},
	{name: "grpc refused stream", stream2: rpc("x-answer: h2 refused")},
	{name: "grpc closed", stream2: rpc("x-answer: h2 closed")},
	{name: "grpc answered by 503", stream2: rpc("x-answer: 503")},
}

var malformed2 = []text2{
	{name: "no method", stream2: only2(":scheme: http", ":authority: plain", ":path: /")},
	{name: "no scheme", stream2: only2(":method: GET", ":authority: plain", ":path: /")},
	{name: "no path", stream2: only2(":method: GET", ":scheme: http", ":authority: plain")},
	{name: "no pseudo-header fields", stream2: only2("x-a: b")},
	{name: "empty method", stream2: only2(":method: ", ":scheme: http", ":authority: plain", ":path: /")},
	{name: "empty scheme", stream2: only2(":method: GET", ":scheme: ", ":authority: plain", ":path: /")},
	{name: "empty path", stream2: only2(":method: GET", ":scheme: http", ":authority: plain", ":path: ")},
	{name: "two methods", stream2: asked(":method: GET")},
	{name: "two schemes", stream2: asked(":scheme: http")},
	{name: "two authorities", stream2: asked(":authority: plain")},
	{name: "two paths", stream2: asked(":path: /")},
	{name: "unknown pseudo-header field", stream2: asked(":foo: a")},
	{name: "status in a request", stream2: asked(":status: 200")},
	{name: "pseudo-header field after a regular one", stream2: only2(":method: GET", ":scheme: http", "x-a: b", ":authority: plain", ":path: /")},
	{name: "protocol without CONNECT", stream2: asked(":protocol: websocket")},
	{name: "relative path", stream2: only2(":method: GET", ":scheme: http", ":authority: plain", ":path: a")},
	{name: "absolute path", stream2: only2(":method: GET", ":scheme: http", ":authority: plain", ":path: http://plain/")},
	{name: "asterisk of GET", stream2: only2(":method: GET", ":scheme: http", ":authority: plain", ":path: *")},
	{name: "path with space", stream2: only2(":method: GET", ":scheme: http", ":authority: plain", ":path: /a b")},
	{name: "path with line end", stream2: only2(":method: GET", ":scheme: http", ":authority: plain", ":path: / HTTP/1.1\r\nx-a: b")},
	{name: "path with NUL", stream2: only2(":method: GET", ":scheme: http", ":authority: plain", ":path: /a\x00")},
	{name: "method with space", stream2: only2(":method: GET /x", ":scheme: http", ":authority: plain", ":path: /")},
	{name: "method with line end", stream2: only2(":method: GET\r\n", ":scheme: http", ":authority: plain", ":path: /")},
	{name: "unknown scheme", stream2: only2(":method: GET", ":scheme: ftp", ":authority: plain", ":path: /")},
	{name: "scheme that is none", stream2: only2(":method: GET", ":scheme: ht tp", ":authority: plain", ":path: /")},
	{name: "authority with user", stream2: only2(":method: GET", ":scheme: http", ":authority: a@plain", ":path: /")},
	{name: "authority with space", stream2: only2(":method: GET", ":scheme: http", ":authority: a b", ":path: /")},
	{name: "authority with slash", stream2: only2(":method: GET", ":scheme: http", ":authority: a/b", ":path: /")},
	{name: "Host against authority", stream2: asked("host: other")},
	{name: "two Hosts", stream2: only2(":method: GET", ":scheme: http", ":path: /", "host: a", "host: b")},
	{name: "upper-case name", stream2: asked("X-Upper: a")},
	{name: "upper-case pseudo-header field", stream2: only2(":Method: GET", ":scheme: http", ":authority: plain", ":path: /")},
	{name: "empty name", stream2: asked(": a")},
	{name: "name with space", stream2: asked("x y: a")},
	{name: "name with octet above 127", stream2: asked("x\xe9: a")},
	{name: "value with NUL", stream2: asked("x-a: a\x00b")},
	{name: "value with CR", stream2: asked("x-a: a\rb")},
	{name: "value with LF", stream2: asked("x-a: a\nb")},
	{name: "value with space in front", stream2: asked("x-a:  b")},
	{name: "value with space behind", stream2: asked("x-a: b ")},
	{name: "Connection", stream2: asked("connection: close")},
	{name: "Connection that names", stream2: asked("connection: x-a", "x-a: b")},
	{name: "Keep-Alive", stream2: asked("keep-alive: timeout=5")},
	{name: "Proxy-Connection", stream2: asked("proxy-connection: keep-alive")},
	{name: "Transfer-Encoding", stream2: posted(hello2, "transfer-encoding: chunked")},
	{name: "Upgrade", stream2: asked("upgrade: websocket")},
	{name: "TE other than trailers", stream2: asked("te: gzip")},
	{name: "TE with trailers and more", stream2: asked("te: trailers, gzip")},
	{name: "length larger than the body", stream2: posted(hello2, "content-length: 10")},
	{name: "length smaller than the body", stream2: posted(hello2, "content-length: 2")},
	{name: "length without body", stream2: posted(nil, "content-length: 5")},
	{name: "length larger than the body before trailers", stream2: posted(hello2, "content-length: 10").trailed("x-a: b")},
	{name: "two lengths", stream2: posted(hello2, "content-length: 5", "content-length: 6")},
	{name: "length in words", stream2: posted(hello2, "content-length: five")},
	{name: "pseudo-header field in trailers", stream2: posted(hello2).trailed(":path: /x")},
	{name: "upper case in trailers", stream2: posted(hello2).trailed("X-Upper: a")},
	{name: "Connection in trailers", stream2: posted(hello2).trailed("connection: close")},
	{name: "trailers without end", stream2: posted(hello2).trailed("x-a: b").left()},
	{name: "CONNECT with path", stream2: only2(":method: CONNECT", ":scheme: http", ":authority: plain:80", ":path: /")},
	{name: "CONNECT without authority", stream2: only2(":method: CONNECT")},
	{name: "extended CONNECT without path", stream2: only2(":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: plain")},
	{name: "extended CONNECT without scheme", stream2: only2(":method: CONNECT", ":protocol: websocket", ":authority: plain", ":path: /")},
	{name: "too many fields", stream2: asked(slices.Repeat([]string{"x-many: a"}, 250)...)},
	{name: "too large", stream2: asked("x-large: " + strings.Repeat("a", 200<<10))},
}
