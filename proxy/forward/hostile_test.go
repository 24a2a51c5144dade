package forward_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
)

// What a backend does after its answer.
const (
	stays  = iota // leaves the connection open, and would take another request there
	closes        // an orderly end
	resets        // a TCP reset
)

// hostile is one answer of a backend that is broken or evil, to a client's first request.
type hostile struct {
	rfc, name string
	request   string // a plain GET when empty
	answer    string
	after     int
	// got is how what the client gets begins; broken: its connection ends in a reset, so that it takes no part for the
	// whole. flag is the record's.
	got    string
	broken bool
	flag   string
	// kept tells that the next request may use the same connection; it must not where the answer left doubts.
	kept bool
}

const (
	ok        = "HTTP/1.1 200 OK\r\n"
	badAnswer = "HTTP/1.1 502 Bad Gateway\r\n"
	evil      = ok + "Content-Length: 4\r\n\r\nevil"
	headOfH   = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
	upgrading = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
)

var hostiles = []hostile{
	// Octets behind the response: the next exchange must not find them.
	{rfc: "9112 6.3", name: "response splitting", answer: ok + "Content-Length: 0\r\n\r\n" + evil, got: ok + "Content-Length: 0\r\n\r\n"},
	{rfc: "9112 6.3", name: "length shorter than the body", answer: ok + "Content-Length: 2\r\n\r\nabcdef", got: ok + "Content-Length: 2\r\n\r\nab"},
	{rfc: "9112 6.3", name: "octets behind the last chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil, got: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{rfc: "9110 9.3.2", name: "body behind HEAD", request: headOfH, answer: ok + "Content-Length: 4\r\n\r\nevil", got: ok + "Content-Length: 4\r\n\r\n"},
	{rfc: "9110 9.3.2", name: "chunked body behind HEAD", request: headOfH, answer: ok + "Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", got: ok + "\r\n"},
	{rfc: "9110 15.3.5", name: "body behind 204", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", got: "HTTP/1.1 204 No Content\r\n\r\n"},
	{rfc: "9110 15.4.5", name: "body behind 304", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", got: "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"},
	{rfc: "9110 15.2", name: "interim response behind the final one", answer: ok + "Content-Length: 0\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", got: ok + "Content-Length: 0\r\n\r\n"},
	{rfc: "9112 9.6", name: "close that does not happen", answer: ok + "Connection: close\r\nContent-Length: 0\r\n\r\n", got: ok + "Content-Length: 0\r\n\r\n"},
	{rfc: "9112 9.3", name: "HTTP/1.0 that stays open", answer: "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", got: ok + "Content-Length: 0\r\n\r\n"},
	{rfc: "9112 9.3", name: "nothing wrong", answer: ok + "Content-Length: 2\r\n\r\nab", got: ok + "Content-Length: 2\r\n\r\nab", kept: true},
	{rfc: "9110 9.3.2", name: "nothing wrong with HEAD", request: headOfH, answer: ok + "Content-Length: 4\r\n\r\n", got: ok + "Content-Length: 4\r\n\r\n", kept: true},

	// Interim responses.
	{rfc: "9110 15.2", name: "flood of interim responses", answer: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 40), got: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 32) + badAnswer, flag: "upstream_garbage"},
	{rfc: "9110 15.2", name: "interim response with a body", answer: "HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nevil" + evil, got: "HTTP/1.1 103 Early Hints\r\n\r\n" + badAnswer, flag: "upstream_garbage"},
	{rfc: "9110 15.2.1", name: "100 that nobody waits for", answer: "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", got: "HTTP/1.1 100 Continue\r\n\r\n" + ok, kept: true},
	{rfc: "9110 15.2.2", name: "101 that nobody asked for", answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + evil, got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9110 15.2.2", name: "101 that names no protocol", request: upgrading, answer: "HTTP/1.1 101 Switching Protocols\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9110 15.2", name: "interim response and then the end", answer: "HTTP/1.1 103 Early Hints\r\n\r\n", after: closes, got: "HTTP/1.1 103 Early Hints\r\n\r\n" + badAnswer, flag: "upstream_reset"},

	// Status lines and fields. Some of these backends leave the connection open without a whole head.
	{rfc: "9112 4", name: "two digits", answer: "HTTP/1.1 20 OK\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 4", name: "four digits", answer: "HTTP/1.1 2000 OK\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9110 15", name: "status below 100", answer: "HTTP/1.1 099 OK\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 4", name: "two spaces", answer: "HTTP/1.1  200 OK\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 2.3", name: "HTTP/2.0", answer: "HTTP/2.0 200 OK\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 2.3", name: "small letters", answer: "http/1.1 200 OK\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 4", name: "empty line first", answer: "\r\n" + ok + "\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 4", name: "another protocol that waits", answer: "SSH-2.0-dropbear\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9113 3.4", name: "HTTP/2 settings", answer: "\x00\x00\x00\x04\x00\x00\x00\x00\x00", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 4", name: "HTTP/0.9", answer: "<html>evil</html>", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 2.2", name: "bare LF", answer: ok + "A: b\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 2.2", name: "bare CR", answer: ok + "A: b\rSet-Cookie: evil\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 5.2", name: "folded field", answer: ok + "A: b\r\n c\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9110 5.5", name: "NUL in a value", answer: ok + "A: \x00\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 5.1", name: "space before the colon", answer: ok + "Content-Length : 4\r\n\r\nevil", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 5", name: "head over the limit", answer: ok + "A: " + strings.Repeat("a", http1.MaxHead), got: badAnswer, flag: "upstream_header_too_large"},
	{rfc: "9112 5", name: "fields over the limit", answer: ok + strings.Repeat("A: b\r\n", http1.MaxFields+1) + "\r\n", got: badAnswer, flag: "upstream_header_too_large"},

	// Framing.
	{rfc: "9112 6.3", name: "length and coding", answer: ok + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 6.3", name: "two lengths", answer: ok + "Content-Length: 0\r\nContent-Length: 4\r\n\r\nevil", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9110 8.6", name: "negative length", answer: ok + "Content-Length: -1\r\n\r\nevil", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 6.1", name: "unknown coding", answer: ok + "Transfer-Encoding: gzip\r\n\r\nevil", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 6.1", name: "chunks in HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", got: badAnswer, flag: "upstream_garbage"},
	{rfc: "9112 7.1", name: "garbage for a chunk size", answer: ok + "Transfer-Encoding: chunked\r\n\r\nevil\r\n", got: "", broken: true, flag: "upstream_garbage"},
	{rfc: "9112 7.1", name: "garbage behind a chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n", got: "", broken: true, flag: "upstream_garbage"},
	{rfc: "9112 7.1", name: "chunk size over 64 bits", answer: ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", got: "", broken: true, flag: "upstream_garbage"},
	{rfc: "9112 7.1.2", name: "endless trailers", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", 1000), got: "", broken: true, flag: "upstream_header_too_large"},
	{rfc: "9112 7.1.2", name: "response for a trailer", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + evil, got: "", broken: true, flag: "upstream_garbage"},

	// Ends.
	{rfc: "9112 8", name: "closes at once", after: closes, got: badAnswer, flag: "upstream_reset"},
	{rfc: "9112 8", name: "resets at once", after: resets, got: badAnswer, flag: "upstream_reset"},
	{rfc: "9112 8", name: "closes in the head", answer: ok + "A:", after: closes, got: badAnswer, flag: "upstream_reset"},
	{rfc: "9112 8", name: "closes in a body with length", answer: ok + "Content-Length: 9\r\n\r\nab", after: closes, got: ok, broken: true, flag: "upstream_reset"},
	{rfc: "9112 8", name: "closes in a chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", after: closes, got: ok, broken: true, flag: "upstream_reset"},
	{rfc: "9112 8", name: "closes between chunks", answer: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", after: closes, got: ok, broken: true, flag: "upstream_reset"},
	{rfc: "9112 8", name: "closes in the trailers", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n", after: closes, got: ok, broken: true, flag: "upstream_reset"},
	{rfc: "9112 8", name: "resets in a body that ends with the connection", answer: ok + "\r\nab", after: resets, got: ok, broken: true, flag: "upstream_reset"},
}

// TestHostileBackends: whatever a backend answers, the client gets an answer or a reset, and the next request to the same
// backend gets its own answer.
func TestHostileBackends(t *testing.T) {
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			w, b := one(t)
			request := h.request
			if request == "" {
				request = plainGet
			}
			c := w.dial()
			c.send(request)
			up := b.accept()
			up.head()
			go h.play(up)
			if h.broken {
				if rest, err := c.rest(); err == nil || !strings.HasPrefix(rest, h.got) {
					t.Errorf("RFC %s: got %q and then %v, want a reset", h.rfc, rest, err)
				}
				c = w.dial()
			} else {
				c.expect(h.got)
				drainAnswer(c, h.got)
			}
			if r := w.record(); r.Flag != h.flag {
				t.Errorf("RFC %s: flag %q, want %q", h.rfc, r.Flag, h.flag)
			}
			c.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
			if !h.kept {
				up = b.accept()
			}
			if head := up.head(); !strings.HasPrefix(head, "GET /next ") {
				t.Fatalf("RFC %s: the backend got %q", h.rfc, head)
			}
			up.send(ok + "Content-Length: 4\r\n\r\ngood")
			c.expect(ok + "Content-Length: 4\r\n\r\ngood")
		})
	}
}

// play is the backend's part.
func (h hostile) play(up *client) {
	_, _ = io.WriteString(up.conn, h.answer) // the proxy may have hung up before the end
	switch h.after {
	case closes:
		_ = up.conn.Close()
	case resets:
		_ = up.conn.(*net.TCPConn).SetLinger(0)
		_ = up.conn.Close()
	}
}

// drainAnswer reads the rest of an answer whose beginning was looked at.
func drainAnswer(c *client, begin string) {
	c.t.Helper()
	switch {
	case strings.HasSuffix(begin, badAnswer):
		c.response()
	case strings.HasSuffix(begin, ok):
		c.head()
	}
}

// TestAnswerToNoRequest (RFC 9112 section 9.3): what a backend says on a connection that rests answers nothing.
func TestAnswerToNoRequest(t *testing.T) {
	w, b := one(t)
	c, up := prime(w, b)
	up.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil")
	c.send(plainGet)
	up = b.accept()
	up.head()
	up.send(ok + "Content-Length: 4\r\n\r\ngood")
	c.expect(ok + "Content-Length: 4\r\n\r\ngood")
}

// TestAnswerBeforeTheRequestEnds (RFC 9112 section 9.3): where the rest of the body comes in time, both connections go on;
// where it does not, neither does.
func TestAnswerBeforeTheRequestEnds(t *testing.T) {
	for _, whole := range []bool{true, false} {
		w, b := one(t)
		c := w.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
		up := b.accept()
		up.head()
		up.expect("ab")
		up.send(ok + "Content-Length: 4\r\n\r\ngood")
		c.expect(ok + "Content-Length: 4\r\n\r\ngood")
		if !whole {
			if rest, err := c.rest(); rest != "" || err != nil {
				t.Errorf("client: %q %v", rest, err)
			}
			if rest, err := up.rest(); rest != "" || err != nil {
				t.Errorf("backend: %q %v", rest, err)
			}
			continue
		}
		c.send("cd" + plainGet)
		up.expect("cd")
		up.expect(plainGet)
		up.send(ok + "Content-Length: 4\r\n\r\ngood")
		c.expect(ok + "Content-Length: 4\r\n\r\ngood")
	}
}
