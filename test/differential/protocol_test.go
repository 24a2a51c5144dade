//go:build differential

package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/test/fixture"
)

// wireConfiguration is testdata/wire.yaml: destinations for requests about the protocol rather than about routes.
const wireConfiguration = "wire"

func (u *union) addWire() {
	u.add(wireConfiguration, build(fixture.Events(u.t, "testdata/wire.yaml")), "")
}

// wireRequests are about bodies, trailers, interim answers, upgrades, failing backends and malformed messages.
func wireRequests(u *union) []*request {
	to := map[string]*destination{}
	for _, d := range u.destinations {
		if name, ok := strings.CutPrefix(d.name, wireConfiguration+"/"); ok {
			to[strings.TrimSuffix(name, ":80")] = d
		}
	}
	var out []*request
	add := func(service, what string, r request) {
		r.to, r.name = to[service], wireConfiguration+"/"+service+"/"+what
		if r.http2 != nil {
			r.name = http2Name + r.name
		}
		out = append(out, &r)
	}
	for _, answer := range slices.Sorted(maps.Keys(answers)) {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			c := call{method: method, path: "/", host: "plain"}
			add("plain", fmt.Sprintf("answer %s to %s", answer, method), request{raw: c.with("X-Answer: " + answer).raw(), again: true})
		}
		c := call{method: "GET", path: "/long-timeouts", host: "routed"}
		add("routed", "answer "+answer, request{raw: c.with("X-Answer: " + answer).raw()})
	}
	for _, service := range []string{"refused", "half-refused", "none", "unready", "half-ready", "draining"} {
		for n := range 4 {
			c := call{method: []string{"GET", "POST", "HEAD", "GET"}[n], path: "/", host: service}
			add(service, fmt.Sprintf("%d %s", n, c.method), request{raw: c.raw(), again: true})
		}
	}
	for _, path := range []string{"/request-timeout", "/backend-timeout"} {
		for _, answer := range []string{"", "slow", "stall", "stall-body", "upgrade"} {
			c := call{method: "GET", path: path, host: "routed"}
			add("routed", path+" "+answer, request{raw: c.with("X-Answer: " + answer).raw()})
		}
	}
	for _, path := range []string{"/redirect/a", "/half-refused", "/refused", "/none", "/missing", "/fields", "/elsewhere"} {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			c := call{method: method, path: path, query: "a=b", host: "routed"}
			add("routed", path+" "+method, request{raw: c.raw(), again: true})
		}
	}
	c := call{method: "GET", path: "/fields", host: "routed"}
	add("routed", "/fields fields", request{raw: c.with("X-Answer: fields", "Accept: a", "Cookie: a=1", "User-Agent: me").raw()})
	for _, text := range bodies {
		// Behind a body that was announced and not sent, no other request can be told from it.
		add("plain", "body "+text.name, request{raw: text.raw, then: text.then, again: text.then == ""})
	}
	for _, text := range mirroredBodies {
		add("mirrored", text.name, request{raw: text.raw})
	}
	for _, text := range legal {
		add("plain", "legal "+text.name, request{raw: text.raw, then: text.then})
		add("detected", "legal "+text.name, request{raw: text.raw, then: text.then})
	}
	for _, text := range malformed {
		add("plain", "malformed "+text.name, request{raw: text.raw, malformed: true})
	}
	inHTTP2 := wireRequests2(slices.Clone(out), add)
	return append(out, inHTTP2...)
}

// text is a request as it is sent, with what is sent after an interim answer.
type text struct{ name, raw, then string }

func post(fields, body string) string {
	return "POST / HTTP/1.1\r\nHost: plain\r\n" + fields + "\r\n" + body
}

const chunked = "Transfer-Encoding: chunked\r\n"

var bodies = []text{
	{name: "sized", raw: post("Content-Length: 5\r\n", "hello")},
	{name: "of length 0", raw: post("Content-Length: 0\r\n", "")},
	{name: "of no length", raw: post("", "")},
	{name: "chunked", raw: post(chunked, "5\r\nhello\r\n0\r\n\r\n")},
	{name: "in two chunks", raw: post(chunked, "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")},
	{name: "chunked, empty", raw: post(chunked, "0\r\n\r\n")},
	{name: "chunked, with extension", raw: post(chunked, "5;a=b\r\nhello\r\n0;c\r\n\r\n")},
	{name: "chunked, size with zeros", raw: post(chunked, "0005\r\nhello\r\n000\r\n\r\n")},
	{name: "chunked, coding in upper case", raw: post("Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n")},
	{name: "with trailers", raw: post(chunked+"Trailer: X-Sum\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: a\r\n\r\n")},
	{name: "with trailers and TE", raw: post(chunked+"TE: trailers\r\nConnection: TE\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")},
	{name: "with forbidden trailers", raw: post(chunked, "5\r\nhello\r\n0\r\nContent-Length: 3\r\nHost: x\r\n\r\n")},
	{name: "large", raw: post("Content-Length: 300000\r\n", strings.Repeat("0123456789", 30000))},
	{name: "large, chunked", raw: post(chunked, "493e0\r\n"+strings.Repeat("0123456789", 30000)+"\r\n0\r\n\r\n")},
	{name: "answered with trailers", raw: post("Content-Length: 5\r\nX-Answer: trailers\r\nTE: trailers\r\nConnection: TE\r\n", "hello")},
	{name: "of GET", raw: "GET / HTTP/1.1\r\nHost: plain\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "of DELETE", raw: "DELETE / HTTP/1.1\r\nHost: plain\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "of HEAD", raw: "HEAD / HTTP/1.1\r\nHost: plain\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "expected", raw: post("Content-Length: 5\r\nExpect: 100-continue\r\n", ""), then: "hello"},
	{name: "expected, chunked", raw: post(chunked+"Expect: 100-Continue\r\n", ""), then: "5\r\nhello\r\n0\r\n\r\n"},
	{name: "expected and sent", raw: post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello")},
	{name: "expected, and not wanted", raw: post("Content-Length: 5\r\nExpect: 100-continue\r\nX-Answer: early-417\r\n", ""), then: "hello"},
	{name: "expected, of no length", raw: post("Expect: 100-continue\r\n", "")},
	{name: "early answer", raw: post("Content-Length: 5\r\nX-Answer: early-413\r\n", "hello")},
	{name: "early answer to a part", raw: post("Content-Length: 500000\r\nX-Answer: early-413\r\n", "hello")},
}

var mirroredBodies = []text{
	{name: "sized", raw: "POST /mirror HTTP/1.1\r\nHost: mirrored\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "chunked", raw: "POST /mirror HTTP/1.1\r\nHost: mirrored\r\n" + chunked + "\r\n5\r\nhello\r\n0\r\n\r\n"},
	{name: "large", raw: "POST /mirror HTTP/1.1\r\nHost: mirrored\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("a", 20000)},
}

func head(fields string) string { return "GET / HTTP/1.1\r\nHost: plain\r\n" + fields + "\r\n" }

var legal = []text{
	{name: "empty line in front", raw: "\r\n" + head("")},
	{name: "absolute form", raw: "GET http://other.example.org/a?b HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "absolute form, no path", raw: "GET http://other.example.org HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "absolute form, query only", raw: "GET http://other.example.org?a=b HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "absolute form, https", raw: "GET https://other.example.org/a HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "absolute form, upper case", raw: "GET HTTP://other.example.org/a HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "asterisk", raw: "OPTIONS * HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "HTTP/1.0", raw: "GET / HTTP/1.0\r\nHost: plain\r\n\r\n"},
	{name: "HTTP/1.0 without Host", raw: "GET / HTTP/1.0\r\n\r\n"},
	{name: "HTTP/1.0 keep-alive", raw: "GET / HTTP/1.0\r\nHost: plain\r\nConnection: keep-alive\r\n\r\n"},
	{name: "HTTP/1.0 answered in chunks", raw: "GET / HTTP/1.0\r\nHost: plain\r\nX-Answer: chunked\r\n\r\n"},
	{name: "empty Host", raw: "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
	{name: "close", raw: head("Connection: close\r\n")},
	{name: "hop by hop", raw: head("Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nX-End: 1\r\n")},
	{name: "TE", raw: head("TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n")},
	{name: "TE without Connection", raw: head("TE: trailers\r\n")},
	{name: "many fields", raw: head(strings.Repeat("X-Many: a\r\n", 150))},
	{name: "large field", raw: head("X-Large: " + strings.Repeat("a", 100<<10) + "\r\n")},
	{name: "long target", raw: "GET /" + strings.Repeat("a", 30<<10) + " HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "odd field names", raw: head("!#$%&'*+-.^_`|~: 1\r\nX_Y: 1\r\n123: 4\r\n")},
	{name: "octets above 127", raw: head("X-Latin: caf\xe9\r\n")},
	{name: "octets above 127 in the target", raw: "GET /caf\xe9 HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "tab in a value", raw: head("X-Tab: a\tb\r\n")},
	{name: "odd method", raw: "M-SEARCH / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "method in lower case", raw: "get / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "unknown method", raw: "FLY / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "CONNECT", raw: "CONNECT plain:80 HTTP/1.1\r\nHost: plain:80\r\n\r\n"},
	{name: "TRACE", raw: "TRACE / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "forwarded fields", raw: head("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: a\r\nForwarded: for=1.2.3.4\r\nVia: 1.1 a\r\nX-Real-Ip: 1.2.3.4\r\n")},
	{name: "request id", raw: head("Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n")},
	{name: "WebSocket", raw: head("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Answer: upgrade\r\n"), then: "ping"},
	{name: "WebSocket refused", raw: head("Connection: Upgrade\r\nUpgrade: websocket\r\nX-Answer: 404\r\n")},
	{name: "other upgrade", raw: head("Connection: keep-alive, Upgrade\r\nUpgrade: foo/2\r\nX-Answer: upgrade\r\n"), then: "ping"},
	{name: "h2c upgrade", raw: head("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n")},
	{name: "upgrade without Connection", raw: head("Upgrade: websocket\r\nX-Answer: upgrade\r\n")},
}

var malformed = []text{
	{name: "no Host", raw: "GET / HTTP/1.1\r\n\r\n"},
	{name: "two Hosts", raw: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	{name: "two equal Hosts", raw: "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
	{name: "Host with space", raw: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
	{name: "Host with slash", raw: "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
	{name: "Host with user", raw: "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
	{name: "length and chunked", raw: post("Content-Length: 5\r\n"+chunked, "0\r\n\r\n")},
	{name: "chunked and length", raw: post(chunked+"Content-Length: 5\r\n", "0\r\n\r\n")},
	{name: "two lengths", raw: post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")},
	{name: "two equal lengths", raw: post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")},
	{name: "list of lengths", raw: post("Content-Length: 5, 5\r\n", "hello")},
	{name: "length with sign", raw: post("Content-Length: +5\r\n", "hello")},
	{name: "negative length", raw: post("Content-Length: -5\r\n", "hello")},
	{name: "length with letters", raw: post("Content-Length: 5x\r\n", "hello")},
	{name: "length in hex", raw: post("Content-Length: 0x5\r\n", "hello")},
	{name: "empty length", raw: post("Content-Length:\r\n", "")},
	{name: "length too large", raw: post("Content-Length: 99999999999999999999\r\n", "hello")},
	{name: "unknown coding", raw: post("Transfer-Encoding: gzip\r\n", "hello")},
	{name: "coding and chunked", raw: post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
	{name: "chunked twice", raw: post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
	{name: "two codings", raw: post(chunked+"Transfer-Encoding: identity\r\n", "0\r\n\r\n")},
	{name: "chunked not last", raw: post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")},
	{name: "coding with vertical tab", raw: post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n")},
	{name: "coding misspelt", raw: post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")},
	{name: "coding in quotes", raw: post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")},
	{name: "space before colon", raw: head("X-Space : a\r\n")},
	{name: "coding with space before colon", raw: post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")},
	{name: "folded field", raw: head("X-Fold: a\r\n b\r\n")},
	{name: "folded first field", raw: "GET / HTTP/1.1\r\n Host: plain\r\n\r\n"},
	{name: "no colon", raw: head("X-None\r\n")},
	{name: "empty name", raw: head(": a\r\n")},
	{name: "name with space", raw: head("X Y: a\r\n")},
	{name: "name with control", raw: head("X\x01Y: a\r\n")},
	{name: "name with octet above 127", raw: head("X\xe9: a\r\n")},
	{name: "value with NUL", raw: head("X-Nul: a\x00b\r\n")},
	{name: "value with control", raw: head("X-Control: a\x01b\r\n")},
	{name: "value with DEL", raw: head("X-Del: a\x7fb\r\n")},
	{name: "bare LF", raw: "GET / HTTP/1.1\nHost: plain\n\n"},
	{name: "bare LF in fields", raw: "GET / HTTP/1.1\r\nHost: plain\nX-A: b\r\n\r\n"},
	{name: "bare CR in a value", raw: head("X-Cr: a\rb\r\n")},
	{name: "bare CR at the end", raw: "GET / HTTP/1.1\r\nHost: plain\r\rX: y\r\n\r\n"},
	{name: "HTTP/0.9", raw: "GET /\r\n\r\n"},
	{name: "HTTP/1.2", raw: "GET / HTTP/1.2\r\nHost: plain\r\n\r\n"},
	{name: "HTTP/2.0", raw: "GET / HTTP/2.0\r\nHost: plain\r\n\r\n"},
	{name: "lower case version", raw: "GET / http/1.1\r\nHost: plain\r\n\r\n"},
	{name: "no version number", raw: "GET / HTTP/\r\nHost: plain\r\n\r\n"},
	{name: "two spaces", raw: "GET  / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "tab for space", raw: "GET\t/ HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "space in target", raw: "GET /a b HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "space in front", raw: " GET / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "space behind", raw: "GET / HTTP/1.1 \r\nHost: plain\r\n\r\n"},
	{name: "fragment", raw: "GET /a#b HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "control in target", raw: "GET /a\x01b HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "NUL in target", raw: "GET /a\x00b HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "relative target", raw: "GET a HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "asterisk of GET", raw: "GET * HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "other scheme", raw: "GET ftp://plain/ HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "user in target", raw: "GET http://a@plain/ HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "odd character in method", raw: "GE(T / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "empty method", raw: " / HTTP/1.1\r\nHost: plain\r\n\r\n"},
	{name: "chunk size with sign", raw: post(chunked, "+5\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size in 0x", raw: post(chunked, "0x5\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size with space", raw: post(chunked, "5 \r\nhello\r\n0\r\n\r\n")},
	{name: "empty chunk size", raw: post(chunked, "\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk size too large", raw: post(chunked, "fffffffffffffffff\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk too long", raw: post(chunked, "4\r\nhello\r\n0\r\n\r\n")},
	{name: "chunk line with LF", raw: post(chunked, "5\nhello\r\n0\r\n\r\n")},
	{name: "chunk end with LF", raw: post(chunked, "5\r\nhello\n0\r\n\r\n")},
	{name: "malformed trailer", raw: post(chunked, "5\r\nhello\r\n0\r\nX Y: a\r\n\r\n")},
	{name: "unknown expectation", raw: post("Content-Length: 5\r\nExpect: 200-ok\r\n", "hello")},
	{name: "too many fields", raw: head(strings.Repeat("X-Many: a\r\n", 250))},
	{name: "too large", raw: head("X-Large: " + strings.Repeat("a", 200<<10) + "\r\n")},
	{name: "target too long", raw: "GET /" + strings.Repeat("a", 140<<10) + " HTTP/1.1\r\nHost: plain\r\n\r\n"},
	// The record is whole: of a part, Leno would wait for the rest until the client has gone, and a backend see it after the next request.
	{name: "garbage", raw: "\x16\x03\x01\x00\x0b\x01\x00\x00\x07\x03\x03 \r\n\r\n"},
	{name: "CONNECT without port", raw: "CONNECT plain HTTP/1.1\r\nHost: plain\r\n\r\n"},
}
