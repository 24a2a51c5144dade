package http1_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
)

func TestLimits(t *testing.T) {
	line := func(n int) string {
		return "GET /" + strings.Repeat("a", n-len("GET / HTTP/1.1\r\n")) + " HTTP/1.1\r\n"
	}
	for _, tc := range []struct {
		name, head string
		want       error
	}{
		{"200 fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", http1.MaxFields-1) + "\r\n", nil},
		{"201 fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", http1.MaxFields) + "\r\n", http1.ErrTooManyFields},
		{"longest request line", line(http1.MaxRequestLine) + "Host: h\r\n\r\n", nil},
		{"request line too long", line(http1.MaxRequestLine+2) + "Host: h\r\n\r\n", http1.ErrLineTooLong},
		{"largest head", pad(http1.MaxHead), nil},
		{"head too large", pad(http1.MaxHead + 1), http1.ErrHeadTooLarge},
		{"head too large, no end in sight", pad(http1.MaxHead + 5)[:http1.MaxHead], http1.ErrHeadTooLarge},
		{"request line without end", "GET /" + strings.Repeat("a", http1.MaxHead), http1.ErrLineTooLong},
		{"longest method", strings.Repeat("M", http1.MaxMethod) + " / HTTP/1.1\r\nHost: h\r\n\r\n", nil},
		{"method too long", strings.Repeat("M", http1.MaxMethod+1) + " / HTTP/1.1\r\nHost: h\r\n\r\n", http1.ErrMethod},
		{"too many Connection lines", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("Connection: a\r\n", 5) + "\r\n", http1.ErrConnection},
	} {
		if _, _, err := parseRequest(tc.head); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

// pad makes a request head of n octets.
func pad(n int) string {
	const start, end = "GET / HTTP/1.1\r\nHost: h\r\nA: ", "\r\n\r\n"
	return start + strings.Repeat("a", n-len(start)-len(end)) + end
}

func TestRequestParts(t *testing.T) {
	for head, want := range map[string]string{
		"GET /a/b?c=d&e HTTP/1.1\r\nHost: x.y:8080\r\n\r\n":                              "GET x.y:8080 /a/b ? c=d&e",
		"GET /a? HTTP/1.1\r\nHost: h\r\n\r\n":                                            "GET h /a ? ",
		"GET http://a:1?q HTTP/1.1\r\nHost: h\r\n\r\n":                                   "GET a:1 / ? q",
		"GET HTTPS://[::1]:443/x HTTP/1.1\r\nHost: h\r\n\r\n":                            "GET [::1]:443 /x",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n":                                          "OPTIONS h *",
		"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n":                                  "CONNECT h:443 ",
		"GET / HTTP/1.0\r\n\r\n":                                                         "GET  / 1.0 close",
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n":                               "GET  / 1.0",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: a, Close\r\n\r\n":                      "GET h / close",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n\r\n":                      "POST h / sized 7",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n":               "POST h / chunked",
		"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n":                     "POST h / continue",
		"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n":                                "POST  / 1.0 close",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n": "GET h / upgrade websocket",
		"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n":                        "GET h /",
		"GET / HTTP/1.1\r\nHost: h\r\nTE: deflate, trailers;q=1\r\n\r\n":                 "GET h / trailers",
		"GET / HTTP/1.1\r\nHost: h\r\nA:  b c\t\r\nA:\r\n\r\n":                           "GET h / A=b c A=",
	} {
		req, _, err := parseRequest(head)
		if err != nil {
			t.Errorf("%q: %v", head, err)
			continue
		}
		if got := describe(req); got != want {
			t.Errorf("%q:\ngot  %q\nwant %q", head, got, want)
		}
	}
}

func describe(r *msg.Request) string {
	s := fmt.Sprintf("%s %s %s", r.Method, r.Authority, r.Path)
	add := func(ok bool, format string, args ...any) {
		if ok {
			s += fmt.Sprintf(" "+format, args...)
		}
	}
	add(r.HasQuery, "? %s", r.Query)
	add(r.Minor == 0, "1.0")
	add(r.Body.Kind == msg.Sized, "sized %d", r.Body.Length)
	add(r.Body.Kind == msg.Chunked, "chunked")
	add(r.Close, "close")
	add(r.Continue, "continue")
	add(r.Trailers, "trailers")
	add(r.Upgrade != nil, "upgrade %s", r.Upgrade)
	for _, f := range r.Fields {
		add(true, "%s=%s", f.Name, f.Value)
	}
	return s
}

func TestResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tc := range []struct {
		rfc, head, written string
		isHead             bool
		err                error
	}{
		{"9112 6.3", ok + "Content-Length: 3\r\n\r\n", ok + "Content-Length: 3\r\n\r\n", false, nil},
		{"9112 6.3", ok + "Content-Length: 3\r\n\r\n", ok + "Content-Length: 3\r\n\r\n", true, nil},
		{"9112 6.3", ok + "\r\n", ok + "Connection: close\r\n\r\n", false, nil},
		{"9112 6.3", ok + "Transfer-Encoding: chunked\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\n", false, nil},
		{"9110 8.6", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false, nil},
		{"9112 6.3", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", false, nil},
		{"9112 4", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false, nil},
		{"9112 9.3", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", ok + "Content-Length: 0\r\nConnection: close\r\n\r\n", false, nil},
		{"9110 15.5.22", "HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", false, nil},
		{"9110 15.2", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", false, nil},
		{"9112 6.3", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "", false, http1.ErrLengthAndCoding},
		{"9112 6.3", ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", "", false, http1.ErrLengthDuplicate},
		{"9112 6.1", ok + "Transfer-Encoding: gzip\r\n\r\n", "", false, http1.ErrCodingUnknown},
		{"9112 6.1", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", false, http1.ErrCodingOld},
		{"9112 4", "HTTP/1.1 20 OK\r\n\r\n", "", false, http1.ErrStatusLine},
		{"9112 4", "HTTP/1.1 2000 OK\r\n\r\n", "", false, http1.ErrStatusLine},
		{"9112 4", "HTTP/1.1 099 OK\r\n\r\n", "", false, http1.ErrStatusLine},
		{"9112 4", "HTTP/2.0 200 OK\r\n\r\n", "", false, http1.ErrStatusLine},
		{"9112 4", "ICY 200 OK\r\n\r\n", "", false, http1.ErrStatusLine},
		{"9112 2.2", "HTTP/1.1 200 OK\nA: b\r\n\r\n", "", false, http1.ErrBareLF},
		{"9112 5.2", ok + "A: b\r\n c\r\n\r\n", "", false, http1.ErrFold},
		{"9110 5.5", ok + "A: b\x00\r\n\r\n", "", false, http1.ErrFieldValue},
	} {
		var resp msg.Response
		resp.Reset()
		err := http1.ParseResponse([]byte(tc.head), tc.isHead, &resp)
		if !errors.Is(err, tc.err) {
			t.Errorf("RFC %s, %q: got %v, want %v", tc.rfc, tc.head, err, tc.err)
		} else if got := string(http1.AppendResponse(nil, &resp, false)); err == nil && got != tc.written {
			t.Errorf("RFC %s, %q:\ngot  %q\nwant %q", tc.rfc, tc.head, got, tc.written)
		}
	}
}

func TestHeadThatTricklesIn(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"
	seen := 0
	for i := 1; i <= len(head); i++ {
		end, err := http1.HeadEnd([]byte(head[:i]), seen)
		if err != nil || (end != 0) != (i == len(head)) {
			t.Fatalf("after %d octets: %d, %v", i, end, err)
		}
		seen = i
	}
	if _, err := http1.HeadEnd([]byte("GET / HTTP/1.1\r\nHost: h\n"), 20); !errors.Is(err, http1.ErrBareLF) {
		t.Errorf("a bare LF is refused without waiting for more: %v", err)
	}
}

func TestUsualMessagesDoNotAllocate(t *testing.T) {
	request := []byte("GET /some/path?x=1 HTTP/1.1\r\nHost: shop.default\r\nUser-Agent: test\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
	body := []byte("5\r\nhello\r\n0\r\nA: b\r\n\r\n")
	var req msg.Request
	var resp msg.Response
	var chunks http1.Chunks
	out := make([]byte, 0, 1024)
	n := testing.AllocsPerRun(100, func() {
		req.Reset()
		end, _ := http1.HeadEnd(request, 0)
		if http1.ParseRequest(request[:end], &req) != nil {
			t.Fatal("request")
		}
		out = http1.AppendRequest(out[:0], &req)
		resp.Reset()
		end, _ = http1.HeadEnd(response, 0)
		if http1.ParseResponse(response[:end], false, &resp) != nil {
			t.Fatal("response")
		}
		out = http1.AppendResponse(out[:0], &resp, false)
		chunks.Reset()
		if _, _, err := chunks.Decode(out[:0], body); err != nil || !chunks.Done() {
			t.Fatal("body")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	request := []byte("GET /some/path?x=1 HTTP/1.1\r\nHost: shop.default.svc.cluster.local\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en\r\nCookie: a=b; c=d\r\nX-Request-Id: 0123456789abcdef\r\n\r\n")
	var req msg.Request
	b.SetBytes(int64(len(request)))
	for b.Loop() {
		req.Reset()
		end, _ := http1.HeadEnd(request, 0)
		if err := http1.ParseRequest(request[:end], &req); err != nil {
			b.Fatal(err)
		}
	}
}
