package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

// end is one end of a conversation in raw octets.
type end struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func newEnd(t *testing.T, conn net.Conn) *end {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &end{t, conn, bufio.NewReader(conn)}
}

func (e *end) send(s string) {
	e.t.Helper()
	if _, err := io.WriteString(e.conn, s); err != nil {
		e.t.Fatal(err)
	}
}

// gets reads exactly want.
func (e *end) gets(want string) {
	e.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(e.r, got)
	if string(got[:n]) != want {
		e.t.Fatalf("got  %.300q\nwant %.300q (%v)", got[:n], want, err)
	}
}

// refused reads an answer of the proxy's own and the end behind it.
func (e *end) refused(status int, words ...string) {
	e.t.Helper()
	answer, err := io.ReadAll(e.r)
	if err != nil || !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", status)) {
		e.t.Errorf("got %q, %v, want status %d and the end", answer, err, status)
	}
	for _, w := range words {
		if !strings.Contains(string(answer), w) {
			e.t.Errorf("the answer %q does not say %q", answer, w)
		}
	}
}

// limits of the pods in TestHTTP1: what web's requests to cart may have for a body.
const outboundLimit, inboundLimit = 2000, 1000

// TestHTTP1 speaks raw HTTP/1.1 from an application through both sidecars, mutual TLS between them, to another one.
// The names are sections of RFCs.
func TestHTTP1(t *testing.T) {
	m := newMesh(t)
	conns := make(chan net.Conn, 1)
	cart := m.pod("cart", tcpApp(t, func(conn net.Conn) { conns <- conn }), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP, cart.endpoint())
	cart.control.change(func(cfg *config.Config) {
		in := *cfg.Inbound
		in.MaxRequestBody = inboundLimit
		cfg.Inbound = &in
	})
	web.control.answers[cartService].MaxRequestBody = outboundLimit
	for _, c := range conversations {
		t.Run(c.name, func(t *testing.T) {
			client := newEnd(t, web.dial(cartService))
			c.talk(client, func() *end {
				select {
				case conn := <-conns:
					t.Cleanup(func() { _ = conn.Close() })
					return newEnd(t, conn)
				case <-time.After(10 * time.Second):
					t.Fatal("the application was not dialled")
					return nil
				}
			})
			_ = client.conn.Close()
		})
	}
}

const (
	plain = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
)

// conversations: app waits for the next connection to the application. Each closes what it opened there, so that the next
// one gets a connection of its own.
var conversations = []struct {
	name string
	talk func(client *end, app func() *end)
}{
	{"9112 9.3 keep-alive", func(c *end, app func() *end) {
		c.send(plain)
		a := app()
		a.gets(plain)
		a.send(empty)
		c.gets(empty)
		for range 3 {
			c.send(plain)
			a.gets(plain)
			a.send(empty)
			c.gets(empty)
		}
		_ = a.conn.Close()
	}},
	{"9112 9.3.2 pipelining in order", func(c *end, app func() *end) {
		post := "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n%d"
		var all, answers string
		for i := range 5 {
			all += fmt.Sprintf(post, i, i)
			answers += fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", i)
		}
		c.send(all)
		a := app()
		for i := range 5 {
			a.gets(fmt.Sprintf(post, i, i))
			a.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", i))
		}
		c.gets(answers)
		_ = a.conn.Close()
	}},
	{"9112 7.1.2 chunks and trailers both ways", func(c *end, app func() *end) {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		a := app()
		a.gets("POST / HTTP/1.1\r\nHost: h\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n\r\n3\r\nabc\r\n")
		c.send("0\r\nT: 1\r\n\r\n")
		a.gets("0\r\nT: 1\r\n\r\n")
		a.send("HTTP/1.1 200 OK\r\nTrailer: U\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nU: 2\r\n\r\n")
		c.gets("HTTP/1.1 200 OK\r\nTrailer: U\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nU: 2\r\n\r\n")
		_ = a.conn.Close()
	}},
	{"9110 10.1.1 100-continue", func(c *end, app func() *end) {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
		a := app()
		a.gets("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
		a.send("HTTP/1.1 100 Continue\r\n\r\n")
		c.gets("HTTP/1.1 100 Continue\r\n\r\n")
		c.send("ab")
		a.gets("ab")
		a.send(empty)
		c.gets(empty)
		_ = a.conn.Close()
	}},
	{"9110 15.2 interim responses", func(c *end, app func() *end) {
		c.send(plain)
		a := app()
		a.gets(plain)
		a.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		c.gets("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		a.send(empty)
		c.gets(empty)
		_ = a.conn.Close()
	}},
	{"9112 6.3 HEAD, 204 and 304 have no body", func(c *end, app func() *end) {
		c.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + plain + plain + plain)
		a := app()
		a.gets("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
		for _, answer := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 9\r\n\r\n"} {
			a.send(answer)
			c.gets(answer)
			a.gets(plain) // the same connections go on
		}
		a.send(empty)
		c.gets(empty)
		_ = a.conn.Close()
	}},
	{"9110 7.8 upgrade to WebSocket", upgrade("websocket")},
	{"9110 7.8 upgrade to any protocol", upgrade("leno-test/7")},
	{"9110 9.3.6 CONNECT is refused", func(c *end, _ func() *end) {
		c.send("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n" + plain)
		c.refused(405, "leno outbound: ", "CONNECT")
	}},
	{"9112 5.2 obs-fold is refused", func(c *end, _ func() *end) {
		c.send("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n")
		c.refused(400, "leno outbound: ", "folded")
	}},
	{"9112 2.2 bare LF is refused", func(c *end, _ func() *end) {
		c.send("GET / HTTP/1.1\nHost: h\n\n")
		c.refused(400, "leno outbound: ", "without CR")
	}},
	{"6585 5 header block over 128 KiB", func(c *end, _ func() *end) {
		c.send("GET / HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 128<<10) + "\r\n\r\n")
		c.refused(431, "leno outbound: ", "128 KiB")
	}},
	{"6585 5 more than 200 fields", func(c *end, _ func() *end) {
		c.send("GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", 200) + "\r\n")
		c.refused(431, "leno outbound: ", "200 header fields")
	}},
	{"6585 5 a header block at the limit passes both hops", func(c *end, app func() *end) {
		begin := "GET / HTTP/1.1\r\nHost: h\r\nA: "
		head := begin + strings.Repeat("a", 128<<10-len(begin)-4) + "\r\n\r\n"
		c.send(head)
		a := app()
		a.gets(head)
		a.send(empty)
		c.gets(empty)
		_ = a.conn.Close()
	}},
	{"9110 15.5.14 body over the limit of the first hop", func(c *end, _ func() *end) {
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", outboundLimit+1, strings.Repeat("a", outboundLimit+1)))
		c.refused(413, "leno outbound: ", "limit of 2000")
	}},
	{"9110 15.5.14 body over the limit of the second hop", func(c *end, _ func() *end) {
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", inboundLimit+1, strings.Repeat("a", inboundLimit+1)))
		c.refused(413, "leno inbound: ", "limit of 1000")
	}},
	{"9110 15.5.14 chunked body that grows over the limit", func(c *end, app func() *end) {
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", inboundLimit, strings.Repeat("a", inboundLimit)))
		a := app()
		c.send("1\r\nb\r\n")
		c.refused(413, "leno inbound: ", "limit of 1000")
		if whole, err := io.ReadAll(a.r); err == nil && strings.HasSuffix(string(whole), "0\r\n\r\n") {
			c.t.Errorf("the application took a cut body for a whole one: %q", whole)
		}
	}},
	{"9110 15.5.14 bodies at the limit pass", func(c *end, app func() *end) {
		sized := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", inboundLimit, strings.Repeat("a", inboundLimit))
		chunks := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", inboundLimit, strings.Repeat("a", inboundLimit))
		c.send(sized + chunks)
		a := app()
		for range 2 {
			request, err := http.ReadRequest(a.r)
			if err != nil {
				a.t.Fatal(err)
			}
			if body, err := io.ReadAll(request.Body); len(body) != inboundLimit || err != nil {
				a.t.Errorf("the application got %d bytes, %v", len(body), err)
			}
			a.send(empty)
			c.gets(empty)
		}
		_ = a.conn.Close()
	}},
}

func upgrade(token string) func(*end, func() *end) {
	return func(c *end, app func() *end) {
		c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: " + token + "\r\n\r\n")
		a := app()
		a.gets("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: " + token + "\r\n\r\n")
		a.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + token + "\r\n\r\nhello")
		c.gets("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + token + "\r\n\r\nhello")
		c.send("\x00raw")
		a.gets("\x00raw")
		_ = a.conn.Close()
	}
}

// TestHTTP1RoutedConnect (RFC 9110 section 9.3.6): a route that names the method lets a tunnel through both hops.
func TestHTTP1RoutedConnect(t *testing.T) {
	m := newMesh(t)
	conns := make(chan net.Conn, 1)
	cart := m.pod("cart", tcpApp(t, func(conn net.Conn) { conns <- conn }), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP, cart.endpoint())
	web.control.change(func(cfg *config.Config) {
		cfg.Routes = maps.Clone(cfg.Routes)
		cfg.Routes["r"] = &config.RouteTable{Name: "r", Entries: []config.Entry{{
			Match:  config.Match{PathKind: config.PathPrefix, Path: "/", Method: "CONNECT"},
			Action: &config.Action{Backends: []config.Backend{{Cluster: cartService.String(), Weight: 1}}},
		}}}
		web.control.answers[cartService].Routes = "r"
	})
	const connect = "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"
	client := newEnd(t, web.dial(cartService))
	client.send(connect + "early")
	app := newEnd(t, <-conns)
	app.gets(connect)
	app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello") // the length means nothing
	client.gets("HTTP/1.1 200 OK\r\n\r\nhello")
	app.gets("early")
	_ = app.conn.Close()

	client = newEnd(t, web.dial(cartService))
	client.send(connect + "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n") // meant for the tunnel
	app = newEnd(t, <-conns)
	app.gets(connect)
	app.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
	client.gets("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	if rest, err := io.ReadAll(client.r); len(rest) > 0 || err != nil {
		t.Errorf("behind the refusal: %q %v", rest, err)
	}
	_ = app.conn.Close()
	client = newEnd(t, web.dial(cartService))
	client.send("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nContent-Length: 4\r\n\r\nevil")
	client.refused(400, "leno outbound: ", "CONNECT with a body")
}
