package http1_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/test/smuggling"
)

// maxPipelined bounds the requests that FuzzRequest reads from one input.
const maxPipelined = 8

// FuzzRequest: of a connection's octets, net/http reads the same requests; and what is written again is read as the same.
func FuzzRequest(f *testing.F) {
	for _, c := range smuggling.Cases() {
		f.Add([]byte(c.Raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		left := string(raw)
		for range maxPipelined {
			ours, err := ourRequest(left)
			theirs, theirErr := theirRequest(withoutEmptyLine(left))
			if ours.method == "CONNECT" {
				return // its target is no path and never sent to a backend
			}
			if fault := verdict(ours, err, theirs, theirErr); fault != "" {
				t.Fatalf("%q: %s", left, fault)
			}
			if err != nil {
				return
			}
			writtenAgain(t, left, ours)
			left = ours.rest
		}
	})
}

// writtenAgain checks that a request that was read means the same to both readers after it was written.
func writtenAgain(t *testing.T, raw string, want message) {
	t.Helper()
	req, end, err := parseRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	head := http1.AppendRequest(nil, req)
	again, n, err := parseRequest(string(head))
	if err != nil || n != len(head) {
		t.Fatalf("%q was written as %q: %v", raw[:end], head, err)
	}
	again.Minor, again.Close = req.Minor, req.Close // an HTTP/1.0 request leaves as HTTP/1.1
	if got, want := describe(again), describe(req); got != want {
		t.Fatalf("%q was written as %q\n%s\n%s", raw[:end], head, got, want)
	}
	sent := string(head) + want.body
	if req.Body.Kind == msg.Chunked {
		sent = string(http1.AppendLastChunk(http1.AppendChunk(head, []byte(want.body)), nil))
	}
	want.trailers, want.rest = nil, ""
	ours, err := ourRequest(sent)
	if fault := verdict(want, nil, ours, err); fault != "" {
		t.Fatalf("%q was written as %q: %s", raw, sent, fault)
	}
	theirs, err := theirRequest(sent)
	if fault := verdict(want, nil, theirs, err); fault != "" {
		t.Fatalf("%q was written as %q: %s", raw, sent, fault)
	}
}

// FuzzResponse: net/http reads the same response, and what is written again is read as the same.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "HTTP/1.1 200\r\n\r\nx", "HTTP/1.0 404 No\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n", "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n",
		"HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, isHead bool) {
		ours, err := ourResponse(string(raw), isHead)
		theirs, theirErr := theirResponse(string(raw), isHead)
		if fault := verdict(ours, err, theirs, theirErr); fault != "" {
			t.Fatalf("%q: %s", raw, fault)
		}
		if err != nil {
			return
		}
		var resp msg.Response
		resp.Reset()
		end, _ := http1.HeadEnd(raw, 0)
		if err := http1.ParseResponse(raw[:end], isHead, &resp); err != nil {
			t.Fatal(err)
		}
		sent := http1.AppendResponse(nil, &resp, false)
		if resp.Body.Kind == msg.Chunked {
			sent = http1.AppendLastChunk(http1.AppendChunk(sent, []byte(ours.body)), nil)
		} else {
			sent = append(sent, ours.body...)
		}
		ours.trailers, ours.rest = nil, ""
		again, err := ourResponse(string(sent), isHead)
		if fault := verdict(ours, nil, again, err); fault != "" {
			t.Fatalf("%q was written as %q: %s", raw, sent, fault)
		}
		again, err = theirResponse(string(sent), isHead)
		if fault := verdict(ours, nil, again, err); fault != "" {
			t.Fatalf("%q was written as %q: %s", raw, sent, fault)
		}
	})
}

// FuzzChunked: wherever a body is cut into reads, the result is the same. cuts are the lengths of the pieces.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"3\r\nabc\r\n0\r\n\r\n", "3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n", "0\r\n\r\nGET / HTTP/1.1\r\n\r\n", "fffffffffffffff\r\n", "1\r\na\n0\r\n\r\n"} {
		f.Add([]byte(s), []byte{1})
		f.Add([]byte(s), []byte{2, 1, 5})
	}
	f.Fuzz(func(t *testing.T, body, cuts []byte) {
		whole, rest, c, err := decodeCut(body, nil)
		parts, restParts, d, errParts := decodeCut(body, cuts)
		switch {
		case err != nil && d.Done():
			t.Fatalf("%q: %v in one piece, accepted in pieces %v", body, err, cuts)
		case errParts != nil && c.Done():
			t.Fatalf("%q: accepted in one piece, %v in pieces %v", body, errParts, cuts)
		case err != nil || errParts != nil:
			return // one that sees less at a time finds the fault later
		case whole != parts || c.Done() != d.Done() || rest != restParts:
			t.Fatalf("%q: %q and %q in one piece, %q and %q in pieces %v", body, whole, rest, parts, restParts, cuts)
		}
	})
}

// decodeCut decodes a body in pieces whose lengths are cuts, again and again; none: all at once. The window moves as a
// connection's buffer does: data is decoded onto itself.
func decodeCut(body, cuts []byte) (data, rest string, c *http1.Chunks, err error) {
	c = new(http1.Chunks)
	var window []byte
	var out bytes.Buffer
	for i := 0; len(body) > 0 && !c.Done(); i++ {
		n := len(body)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		window, body = append(window, body[:n]...), body[n:]
		decoded, used, err := c.Decode(window[:0], window)
		out.Write(decoded)
		if err != nil {
			return out.String(), "", c, err
		}
		window = append([]byte(nil), window[used:]...)
		if len(window) > http1.MaxTrailers {
			return out.String(), "", c, errors.New("more is left than a read buffer holds")
		}
	}
	return out.String(), string(window) + string(body), c, nil
}

// FuzzHeadEnd: a head that trickles in ends where it ends in one piece, and is refused if it is refused in one piece.
func FuzzHeadEnd(f *testing.F) {
	for _, c := range smuggling.Cases() {
		f.Add([]byte(c.Raw), []byte{3, 0, 1})
	}
	f.Fuzz(func(t *testing.T, raw, cuts []byte) {
		whole, err := http1.HeadEnd(raw, 0)
		if len(cuts) == 0 {
			return
		}
		for seen, i := 0, 0; seen < len(raw); i++ {
			next := min(len(raw), seen+1+int(cuts[i%len(cuts)]))
			end, errPart := http1.HeadEnd(raw[:next], seen)
			if end != 0 && end != whole {
				t.Fatalf("%q: ends at %d in pieces, at %d in one", raw, end, whole)
			}
			if errPart != nil && whole != 0 && whole <= seen {
				t.Fatalf("%q: %v after its end", raw, errPart)
			}
			if end != 0 || errPart != nil {
				return
			}
			seen = next
		}
		if whole != 0 || err != nil {
			t.Fatalf("%q: %d, %v in one piece, nothing in pieces", raw, whole, err)
		}
	})
}
