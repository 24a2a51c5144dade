package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

// FuzzRequest: what is accepted and written again is accepted again and means the same, and net/http, where it accepts
// it as well, finds the same method, host, framing and end.
func FuzzRequest(f *testing.F) {
	for _, tc := range smuggling {
		f.Add([]byte(strings.Replace(tc.head, "\nH\r\n", "\nHost: h\r\n", 1)))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		req, end, err := parseRequest(string(head))
		if err != nil || end == 0 || string(req.Method) == "CONNECT" {
			return
		}
		written := http1.AppendRequest(nil, req)
		again, n, err := parseRequest(string(written))
		if err != nil || n != len(written) {
			t.Fatalf("%q was written as %q: %v", head, written, err)
		}
		again.Minor, again.Close = req.Minor, req.Close // an HTTP/1.0 request leaves as HTTP/1.1
		if got, want := describe(again), describe(req); got != want {
			t.Fatalf("%q was written as %q\n%s\n%s", head, written, got, want)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(written, "0\r\n\r\n"...))))
		if err != nil {
			return
		}
		if theirs.Method != string(req.Method) || theirs.Host != string(req.Authority) {
			t.Errorf("%q: net/http reads %s %q", written, theirs.Method, theirs.Host)
		}
		length, chunked := theirs.ContentLength, len(theirs.TransferEncoding) > 0
		if chunked != (req.Body.Kind == msg.Chunked) || !chunked && length != req.Body.Length {
			t.Errorf("%q: net/http reads length %d, chunked %v", written, length, chunked)
		}
	})
}

// FuzzResponse: likewise.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.0 404 No\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, head []byte, isHead bool) {
		var resp, again msg.Response
		resp.Reset()
		end, err := http1.HeadEnd(head, 0)
		if err != nil || end == 0 || http1.ParseResponse(head[:end], isHead, &resp) != nil {
			return
		}
		written := http1.AppendResponse(nil, &resp, false)
		again.Reset()
		if err := http1.ParseResponse(written, isHead, &again); err != nil {
			t.Fatalf("%q was written as %q: %v", head, written, err)
		}
		if again.Status != resp.Status || again.Body != resp.Body || again.Announced != resp.Announced || len(again.Fields) != len(resp.Fields) {
			t.Fatalf("%q was written as %q", head, written)
		}
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(written)), &http.Request{Method: method})
		if err != nil {
			return
		}
		chunked := len(theirs.TransferEncoding) > 0
		if theirs.StatusCode != resp.Status || chunked != (resp.Body.Kind == msg.Chunked) ||
			resp.Body.Kind == msg.Sized && theirs.ContentLength != resp.Body.Length {
			t.Errorf("%q: net/http reads %d, length %d, chunked %v", written, theirs.StatusCode, theirs.ContentLength, chunked)
		}
	})
}

// FuzzChunked: the way a body is cut into reads makes no difference, and net/http, where it accepts the body, reads the
// same data.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"3\r\nabc\r\n0\r\n\r\n", "3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n", "0\r\n\r\nGET / HTTP/1.1\r\n\r\n", "fffffffffffffff\r\n", "1\r\na\n0\r\n\r\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, body []byte, step int) {
		step = 1 + (step&0x7fffffff)%64
		whole, rest, c, err := decode(body, max(1, len(body)))
		parts, restParts, d, errParts := decode(body, step)
		if (err == nil) != (errParts == nil) {
			// A decoder that sees less at a time may find the fault later, never another meaning.
			if err != nil && d.Done() {
				t.Fatalf("%q: %v in one piece, accepted in pieces of %d", body, err, step)
			}
			return
		}
		if err != nil {
			return
		}
		if whole != parts || c.Done() != d.Done() || c.Done() && rest != restParts {
			t.Fatalf("%q: %q in one piece, %q in pieces of %d", body, whole, parts, step)
		}
		if !c.Done() {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append([]byte("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"), body...))))
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(theirs.Body); err == nil && string(data) != whole {
			t.Errorf("%q: net/http reads %q, not %q", body, data, whole)
		}
	})
}
