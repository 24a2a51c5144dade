package http1_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/test/smuggling"
)

// parseRequest reads a head at the start of s.
func parseRequest(s string) (*msg.Request, int, error) {
	req := new(msg.Request)
	end, err := http1.HeadEnd([]byte(s), 0)
	if err != nil || end == 0 {
		return nil, 0, err
	}
	return req, end, http1.ParseRequest([]byte(s[:end]), req)
}

// TestSmuggling reads each case of the table as a connection would, until something is refused.
func TestSmuggling(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range smuggling.Cases() {
		if seen[c.Name] || c.RFC == "" {
			t.Errorf("case %q: names are unique and cases have a section of an RFC", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			var got []smuggling.Request
			var err error
			for left := c.Raw; left != "" && len(got) < maxPipelined; {
				var m message
				if m, err = ourRequest(left); err != nil {
					break
				}
				left = m.rest
				got = append(got, smuggling.Request{Method: m.method, Target: m.target, Host: m.host, Body: m.body})
				if closes(c.Raw) {
					break
				}
			}
			var refusal *http1.Error
			status, says := 0, ""
			if errors.As(err, &refusal) {
				status, says = refusal.Status, refusal.Reason
			}
			if status != c.Status || !strings.Contains(says, c.Says) {
				t.Errorf("RFC %s: %v, want %d %q for %q", c.RFC, err, c.Status, c.Says, c.Raw)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.Reaches) {
				t.Errorf("RFC %s: read\n%q\nwant\n%q", c.RFC, got, c.Reaches)
			}
		})
	}
	if n := len(seen); n < 60 {
		t.Errorf("%d cases", n)
	}
}

// closes tells whether the first request of a connection is its last.
func closes(raw string) bool {
	req, _, err := parseRequest(raw)
	return err == nil && req.Close
}

func TestConnectionCannotRemoveFraming(t *testing.T) {
	req, _, err := parseRequest("POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length, Host, A\r\nContent-Length: 3\r\nA: 1\r\nB: 2\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	got := string(http1.AppendRequest(nil, req))
	if want := "POST / HTTP/1.1\r\nHost: h\r\nB: 2\r\nContent-Length: 3\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChunkedBodiesInPieces: the chunked cases, cut into reads of any size.
func TestChunkedBodiesInPieces(t *testing.T) {
	n := 0
	for _, c := range smuggling.Cases() {
		req, end, err := parseRequest(c.Raw)
		if err != nil || req == nil || req.Body.Kind != msg.Chunked {
			continue
		}
		n++
		body := []byte(c.Raw[end:])
		for _, step := range []byte{0, 1, 6} {
			data, _, chunks, err := decodeCut(body, []byte{step})
			var refusal *http1.Error
			if errors.As(err, &refusal); c.Status != 0 && (refusal == nil || !strings.Contains(refusal.Reason, c.Says)) {
				t.Errorf("%s, %d octets at a time: %v, want %q", c.Name, step+1, err, c.Says)
			}
			if len(c.Reaches) > 0 && (err != nil || !chunks.Done() || data != c.Reaches[0].Body) {
				t.Errorf("%s, %d octets at a time: %q, %v", c.Name, step+1, data, err)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d cases have a chunked body", n)
	}
}
