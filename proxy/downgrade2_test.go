package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/config"
)

// strict1 is an application that speaks HTTP/1.1 and keeps what it is asked, in words. What is no request is garbage.
type strict1 struct {
	mu   sync.Mutex // guards seen
	seen []string
}

func (s *strict1) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, what)
}

func (s *strict1) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

func (s *strict1) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			s.note("garbage: " + err.Error())
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // cut off in the middle: no request
		}
		words := fmt.Sprintf("%s %s %s", req.Method, req.Host, req.RequestURI)
		if len(body) > 0 || req.ContentLength > 0 {
			words += fmt.Sprintf(" %d", len(body))
		}
		for _, name := range []string{"X-A", "Cookie", "Te", "Upgrade", "Connection", "Sum", "Evil"} {
			if v := req.Header.Values(name); len(v) > 0 {
				words += fmt.Sprintf(" %s=%s", name, strings.Join(v, "|"))
			}
		}
		if len(req.Trailer) > 0 {
			words += fmt.Sprintf(" %v", req.Trailer)
		}
		s.note(words)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

const smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"

// downgrades are requests in HTTP/2 to an application that gets HTTP/1.1: pseudo-header fields as in getFields, if not said otherwise.
// arrives is what the application sees; empty: nothing, and the client a reset ("") or a status.
var downgrades = []struct {
	name     string
	pseudo   []string
	fields   []string
	body     string // empty: the head ends the request
	trailers []string
	arrives  string
	status   string
	// early: the head promises that nothing follows, so it may have been answered, as one request, before the body came.
	early bool
}{
	{name: "plain", arrives: "GET cart.shop /", status: "200"},
	{name: "a value with obs-text (RFC 9110 5.5)", fields: []string{"x-a", "\xe4\xf6"}, arrives: "GET cart.shop / X-A=\xe4\xf6", status: "200"},
	{name: "white space round a value", fields: []string{"x-a", " b\t"}, arrives: "GET cart.shop / X-A=b", status: "200"},
	{name: "crumbs of Cookie (RFC 9113 8.2.3)", fields: []string{"cookie", "a=b", "x-a", "c", "cookie", "d=e"}, arrives: "GET cart.shop / X-A=c Cookie=a=b; d=e", status: "200"},
	{name: "Host that agrees", fields: []string{"host", "cart.shop"}, arrives: "GET cart.shop /", status: "200"},
	{name: "Host alone", pseudo: []string{":method", "GET", ":scheme", "http", ":path", "/"}, fields: []string{"host", "cart.shop"}, arrives: "GET cart.shop /", status: "200"},
	{name: "a body without length that looks like the end of one", body: smuggled, arrives: "GET cart.shop / 43", status: "200"},
	{name: "a body with length that looks like the end of one", fields: []string{"content-length", fmt.Sprint(len(smuggled))}, body: smuggled, arrives: "GET cart.shop / 43", status: "200"},
	{name: "trailers", body: "abc", trailers: []string{"sum", "1"}, arrives: "GET cart.shop / 3 map[Sum:[1]]", status: "200"},
	{name: "trailers that frame or route are left out (RFC 9110 6.5.1)", body: "abc", trailers: []string{"content-length", "9", "host", "evil", "sum", "1"}, arrives: "GET cart.shop / 3 map[Sum:[1]]", status: "200"},
	{name: "a path of two slashes", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "//evil/a"}, arrives: "GET cart.shop //evil/a", status: "200"},
	{name: "a method of one's own", pseudo: []string{":method", "get", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}, arrives: "get cart.shop /", status: "200"},

	{name: "CR LF in a value", fields: []string{"x-a", "b\r\nevil: 1"}},
	{name: "CR in a value", fields: []string{"x-a", "b\revil: 1"}},
	{name: "LF in a value", fields: []string{"x-a", "b\nevil: 1"}},
	{name: "LF at the end of a value", fields: []string{"x-a", "b\n"}},
	{name: "NUL in a value", fields: []string{"x-a", "b\x00"}},
	{name: "a request in a value", fields: []string{"x-a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil"}},
	{name: "CR LF in a name", fields: []string{"x-a: b\r\nevil", "1"}},
	{name: "a colon in a name", fields: []string{"x-a: b", "1"}},
	{name: "a space behind a name", fields: []string{"transfer-encoding ", "chunked"}},
	{name: "a tab in a name", fields: []string{"x-a\t", "b"}},
	{name: "an empty name", fields: []string{"", "b"}},
	{name: "a name in capitals", fields: []string{"X-A", "b"}},
	{name: "Transfer-Encoding in capitals", fields: []string{"Transfer-Encoding", "chunked"}, body: smuggled},
	{name: "transfer-encoding", fields: []string{"transfer-encoding", "chunked"}, body: smuggled},
	{name: "transfer-encoding, nothing", fields: []string{"transfer-encoding", "identity"}, body: smuggled},
	{name: "transfer-encoding beside content-length", fields: []string{"content-length", "43", "transfer-encoding", "chunked"}, body: smuggled},
	{name: "transfer-encoding in trailers", body: "abc", trailers: []string{"transfer-encoding", "chunked"}},
	{name: "CR LF in trailers", body: "abc", trailers: []string{"sum", "1\r\nevil: 1"}},
	{name: ":path in trailers", body: "abc", trailers: []string{":path", "/smuggled"}},
	{name: "content-length that is too small", fields: []string{"content-length", "0"}, body: smuggled, early: true},
	{name: "content-length that is smaller than the body", fields: []string{"content-length", "5"}, body: smuggled},
	{name: "content-length that is larger than the body", fields: []string{"content-length", "100"}, body: smuggled},
	{name: "content-length without a body", fields: []string{"content-length", "10"}},
	{name: "content-length twice", fields: []string{"content-length", "43", "content-length", "0"}, body: smuggled},
	{name: "content-length as a list", fields: []string{"content-length", "43, 43"}, body: smuggled},
	{name: "content-length with a sign", fields: []string{"content-length", "+43"}, body: smuggled},
	{name: "content-length in hexadecimal", fields: []string{"content-length", "0x2b"}, body: smuggled},
	{name: "content-length, negative", fields: []string{"content-length", "-1"}, body: smuggled},
	{name: "content-length above 2^63", fields: []string{"content-length", "18446744073709551659"}, body: smuggled},
	{name: "content-length, empty", fields: []string{"content-length", ""}, body: smuggled},
	{name: "content-length and trailers too early", fields: []string{"content-length", "10"}, body: "abc", trailers: []string{"sum", "1"}},
	{name: "connection", fields: []string{"connection", "x-a", "x-a", "b"}},
	{name: "connection: close", fields: []string{"connection", "close"}},
	{name: "keep-alive", fields: []string{"keep-alive", "timeout=5"}},
	{name: "proxy-connection", fields: []string{"proxy-connection", "keep-alive"}},
	{name: "upgrade", fields: []string{"upgrade", "h2c"}},
	{name: "te other than trailers", fields: []string{"te", "chunked"}},
	{name: "an unknown expectation", fields: []string{"expect", "a miracle"}, status: "417"},
	{name: "Host that differs", fields: []string{"host", "evil"}},
	{name: "Host twice", fields: []string{"host", "cart.shop", "host", "cart.shop"}},
	{name: "CR LF in Host", fields: []string{"host", "cart.shop\r\nevil: 1"}},
	{name: "a pseudo-header field behind others", fields: []string{":path", "/smuggled"}},
	{name: "an unknown pseudo-header field", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/", ":evil", "1"}},
	{name: ":status", pseudo: []string{":status", "200", ":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
	{name: ":path twice", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/", ":path", "/smuggled"}},
	{name: ":method twice", pseudo: []string{":method", "GET", ":method", "POST", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
	{name: ":authority twice", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":authority", "evil", ":path", "/"}},
	{name: "no :path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop"}},
	{name: "no :scheme", pseudo: []string{":method", "GET", ":authority", "cart.shop", ":path", "/"}},
	{name: "no :method", pseudo: []string{":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
	{name: "a request line in :method", pseudo: []string{":method", "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\nGET", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
	{name: "a space in :method", pseudo: []string{":method", "GET /smuggled", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
	{name: "a request line in :path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/ HTTP/1.1\r\nHost: evil\r\n\r\nGET /smuggled"}},
	{name: "a space in :path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/ HTTP/1.1"}},
	{name: "a tab in :path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/\tHTTP/1.1"}},
	{name: "LF in :path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/\nevil: 1"}},
	{name: ":path in absolute form", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "http://evil/"}},
	{name: ":path without a slash", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "smuggled"}},
	{name: "an empty :path", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", ""}},
	{name: ":path * with GET", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "*"}},
	{name: "CR LF in :authority", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop\r\nevil: 1", ":path", "/"}},
	{name: "a space in :authority", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop evil", ":path", "/"}},
	{name: "a path in :authority", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop/smuggled", ":path", "/"}},
	{name: "user information in :authority", pseudo: []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop@evil", ":path", "/"}},
	{name: "CR LF in :scheme", pseudo: []string{":method", "GET", ":scheme", "http://evil/\r\nevil: 1", ":authority", "cart.shop", ":path", "/"}},
	{name: "a URL in :scheme", pseudo: []string{":method", "GET", ":scheme", "http://evil/?", ":authority", "cart.shop", ":path", "/"}},
	{name: "CONNECT", pseudo: []string{":method", "CONNECT", ":authority", "evil:80"}, status: "405"},
	{name: "CONNECT with a path", pseudo: []string{":method", "CONNECT", ":scheme", "http", ":authority", "cart.shop", ":path", "/smuggled"}},
	{name: "CR LF in :protocol", pseudo: []string{":method", "CONNECT", ":protocol", "websocket\r\nevil: 1", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
	{name: ":protocol with GET", pseudo: []string{":method", "GET", ":protocol", "websocket", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
	{name: ":protocol h2c, which would be a way round the routes", pseudo: []string{":method", "CONNECT", ":protocol", "h2c", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}},
}

// None of them reaches the application as anything but one well-formed request, and the connection serves the next one.
func TestDowngrades(t *testing.T) {
	app := &strict1{}
	web := facing(t, tcpApp(t, app.serve), config.HTTP1Only)
	for _, tc := range downgrades {
		t.Run(tc.name, func(t *testing.T) {
			c := dial2(web, cartService)
			fields := tc.pseudo
			if fields == nil {
				fields = []string{":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/"}
			}
			c.headers(1, tc.body == "", append(slices.Clone(fields), tc.fields...)...)
			if tc.body != "" {
				c.do(0, c.WriteData(1, tc.trailers == nil, []byte(tc.body)))
			}
			if tc.trailers != nil {
				c.headers(1, true, tc.trailers...)
			}
			status := c.status(1)
			early := tc.early && status == "200"
			if status != tc.status && !early {
				t.Errorf("answered %q, want %q", status, tc.status)
			}
			c.do(0, c.WriteRSTStream(1, xhttp2.ErrCodeCancel))
			c.get(3, "/next")
			if status := c.status(3); status != "200" {
				t.Errorf("the next request was answered %q", status)
			}
			want := []string{"GET cart.shop /next"}
			if tc.arrives != "" {
				want = []string{tc.arrives, want[0]}
			}
			if early {
				want = []string{"GET cart.shop /", want[0]}
			}
			if seen := app.took(); !slices.Equal(seen, want) {
				t.Errorf("the application saw %q, want %q", seen, want)
			}
		})
	}
}
