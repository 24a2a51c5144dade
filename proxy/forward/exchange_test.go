package forward_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

// one makes a world whose frontend goes straight to one scripted backend.
func one(t testing.TB) (*world, *backend) {
	w := newWorld(t)
	b := w.backend()
	w.cluster("c", b.addr())
	w.straight()
	return w, b
}

func TestKeepAliveOnBothSides(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	c.send("GET /a?x=1 HTTP/1.1\r\nHost: shop\r\nX-One: 1\r\n\r\n")
	up := b.accept()
	up.expect("GET /a?x=1 HTTP/1.1\r\nHost: shop\r\nX-One: 1\r\n\r\n")
	up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two: 2\r\n\r\nhi")
	c.expect("HTTP/1.1 200 OK\r\nX-Two: 2\r\nContent-Length: 2\r\n\r\nhi")
	if r := w.record(); r.Code != 200 || r.BytesOut != 2 || r.Service != "ns/svc:80" || r.Method != "GET" {
		t.Errorf("record %+v", r)
	}
	c.send("POST /b HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc")
	up.expect("POST /b HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc")
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.expect("HTTP/1.1 204 No Content\r\n\r\n")
	if r := w.record(); r.BytesIn != 3 {
		t.Errorf("record %+v", r)
	}
}

// TestExchanges tells, for one request each, what the backend sees, what it answers and what the client gets.
func TestExchanges(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, tc := range []struct {
		name, request, seen, answer, got string
		hangsUp                          bool // the backend closes after its answer
		ends                             bool // the client's connection is closed
	}{
		{name: "hop-by-hop fields end here",
			request: "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: a\r\nA: b\r\n\r\n",
			seen:    "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n",
			answer:  "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n",
			got:     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{name: "absolute-form becomes origin-form, its authority replaces Host",
			request: "GET http://real/p?q HTTP/1.1\r\nHost: other\r\n\r\n",
			seen:    "GET /p?q HTTP/1.1\r\nHost: real\r\n\r\n",
			answer:  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			got:     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{name: "HEAD keeps the length and has no body",
			request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", seen: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
			answer: "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", got: "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"},
		{name: "304 keeps the length and has no body", request: get, seen: get,
			answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n",
			got:    "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n"},
		{name: "chunks and trailers pass, extensions do not",
			request: "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
			seen:    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n\r\n5\r\nabcde\r\n0\r\nT: 1\r\n\r\n",
			answer:  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: U\r\n\r\n2\r\nhi\r\n0\r\nU: 2\r\nContent-Length: 9\r\n\r\n",
			got:     "HTTP/1.1 200 OK\r\nTrailer: U\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nU: 2\r\n\r\n"},
		{name: "a response without length is chunked", request: get, seen: get,
			answer: "HTTP/1.1 200 OK\r\n\r\nhello", hangsUp: true,
			got: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{name: "HTTP/1.0 client gets no chunks",
			request: "GET / HTTP/1.0\r\n\r\n", seen: "GET / HTTP/1.1\r\nHost: \r\n\r\n",
			answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			got:    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", ends: true},
		{name: "HTTP/1.0 client that wants to stay",
			request: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", seen: "GET / HTTP/1.1\r\nHost: \r\n\r\n",
			answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			got:    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"},
		{name: "Connection: close is the client's own",
			request: "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", seen: get,
			answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			got:    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ends: true},
		{name: "interim responses pass", request: get, seen: get,
			answer: "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			got:    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{name: "101 that nobody asked for", request: get, seen: get,
			answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
			got:    "HTTP/1.1 502 Bad Gateway\r\n"},
		{name: "h2c upgrade is not offered to the backend",
			request: "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
			seen:    get, answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", got: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, b := one(t)
			c := w.dial()
			c.send(tc.request)
			up := b.accept()
			up.expect(tc.seen)
			up.send(tc.answer)
			if tc.hangsUp {
				up.conn.Close()
			}
			c.expect(tc.got)
			if tc.ends {
				if rest, err := c.rest(); rest != "" || err != nil {
					t.Errorf("after the response: %q, %v", rest, err)
				}
			}
		})
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	var all strings.Builder
	for i := range 5 {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%d\r\n0\r\n\r\n", i, i)
	}
	c.send(all.String())
	up := b.accept()
	for i := range 5 {
		up.expect(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%d\r\n0\r\n\r\n", i, i))
		up.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", i))
	}
	for i := range 5 {
		c.expect(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", i))
	}
}

func TestBodiesStreamBothWaysAtOnce(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	up := b.accept()
	up.expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	c.expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 3 { // each side waits for the other
		c.send("4\r\nping\r\n")
		up.expect("4\r\nping\r\n")
		up.send("4\r\npong\r\n")
		c.expect("4\r\npong\r\n")
	}
	c.send("0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n") // and the next request right behind
	up.expect("0\r\n\r\n")
	up.send("0\r\n\r\n")
	c.expect("0\r\n\r\n")
	up.expect("GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.expect("HTTP/1.1 204 No Content\r\n\r\n")
	if r := w.record(); r.BytesIn != 12 || r.BytesOut != 12 {
		t.Errorf("record %+v", r)
	}
}

func TestLargeBodies(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	big := strings.Repeat("0123456789abcdef", 100_000)
	go fmt.Fprintf(c.conn, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(big), big)
	up := b.accept()
	up.head()
	up.expect(big)
	go fmt.Fprintf(up.conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(big), big)
	c.head()
	c.expect(big)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	up.head()
	go fmt.Fprintf(up.conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(big), big)
	c.head()
	got := 0
	for {
		size := 0
		line, _ := c.r.ReadString('\n')
		if fmt.Sscanf(line, "%x", &size); size == 0 {
			break
		}
		c.expect(big[got : got+size])
		c.expect("\r\n")
		got += size
	}
	if got != len(big) {
		t.Errorf("%d of %d bytes", got, len(big))
	}
}

func TestExpectContinueIsTheBackendsToAnswer(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	up := b.accept()
	up.expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	up.send("HTTP/1.1 100 Continue\r\n\r\n")
	c.expect("HTTP/1.1 100 Continue\r\n\r\n")
	c.send("ab")
	up.expect("ab")
	up.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
	c.expect("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
	c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	up.head()
	up.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	c.expect("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	if rest, err := c.rest(); rest != "" || err != nil { // whether a body follows is not known: the connection ends
		t.Errorf("%q %v", rest, err)
	}
}

func TestEarlyAnswerToABodyThatNeverEnds(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	up := b.accept()
	up.head()
	up.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
	up.conn.Close()
	c.expect("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
	if rest, err := c.rest(); rest != "" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	if r := w.record(); r.Code != 413 || r.Flag != "" {
		t.Errorf("record %+v", r)
	}
}

func TestWebSocketTunnel(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	c.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly")
	up := b.accept()
	up.expect("GET /ws HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	up.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\nhello")
	c.expect("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
	up.expect("early")
	w.server.Drain() // tunnels live on
	c.send("ping")
	up.expect("ping")
	c.conn.(interface{ CloseWrite() error }).CloseWrite()
	if rest, err := up.rest(); rest != "" || err != nil {
		t.Fatalf("half-close: %q %v", rest, err)
	}
	up.send("last words")
	up.conn.Close()
	if rest, err := c.rest(); rest != "last words" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	if r := w.record(); r.Code != 101 || r.BytesIn != 9 || r.BytesOut != 15 || r.Flag != "" {
		t.Errorf("record %+v", r)
	}
}

func TestConfigSwapReachesTheNextRequestOfAConnection(t *testing.T) {
	w, b := one(t)
	other := w.backend()
	c := w.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	up := b.accept()
	up.head()
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	c.head()
	w.record()
	next := *w.cfg
	next.Clusters = map[string]*config.Cluster{}
	w.cfg = &next
	w.cluster("c", other.addr())
	w.dial() // compiles and publishes
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	other.accept().head()
}

func TestDrain(t *testing.T) {
	w, b := one(t)
	busy, idle, used := w.dial(), w.dial(), w.dial()
	used.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	up := b.accept()
	up.head()
	up.send("HTTP/1.1 204 No Content\r\n\r\n")
	used.head()
	w.record() // the backend's connection is back in the pool
	busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	up.head()
	w.server.Drain()
	for _, c := range []*client{idle, used} {
		if rest, err := c.rest(); rest != "" || err != nil {
			t.Errorf("idle connection: %q %v", rest, err)
		}
	}
	up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	busy.expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	if rest, err := busy.rest(); rest != "" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	late := w.dial() // a new connection is served one request
	late.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	up.head()
	up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	late.expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

func TestClientThatLeavesCancelsTheBackend(t *testing.T) {
	t.Run("without body", func(t *testing.T) { leave(t, "", 0) })
	t.Run("after a body that streamed", func(t *testing.T) { leave(t, "abc", 3) })
	t.Run("in the middle of a body", func(t *testing.T) { leave(t, "ab", 3) })
}

func leave(t *testing.T, body string, length int) {
	w, b := one(t)
	c := w.dial()
	c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", length))
	up := b.accept()
	up.head()
	c.send(body)
	up.expect(body)
	c.conn.Close()
	start := time.Now()
	if rest, err := up.rest(); rest != "" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the backend was told after %v", took)
	}
	if r := w.record(); r.Code != 0 || r.Flag != "client_gone" {
		t.Errorf("record %+v", r)
	}
}
