package forward_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

// loop answers every request of reqSize bytes with resp until the connection ends.
func loop(conn net.Conn, reqSize int, resp []byte) {
	buf := make([]byte, reqSize)
	for {
		if _, err := io.ReadFull(conn, buf); err != nil {
			return
		}
		if _, err := conn.Write(resp); err != nil {
			return
		}
	}
}

// steady makes a world in which one call is one keep-alive exchange with a body of that size through a route, and nothing
// but the proxy does any work worth counting.
func steady(t testing.TB, size int) (exchange func()) {
	w := newWorld(t)
	b := w.backend()
	w.cluster("c", b.addr())
	w.route(config.Entry{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: &config.Action{
		RequestHeaders: &config.HeaderChange{Set: []config.Header{{Name: "x-canary", Value: "no"}}},
		Backends:       []config.Backend{to("c", 1)}}})
	w.quiet = true
	c := w.dial()
	resp := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nServer: backend\r\nContent-Length: %d\r\n\r\n%s", size, make([]byte, size))
	request := []byte("GET /some/path?x=1 HTTP/1.1\r\nHost: shop.default.svc.cluster.local\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nX-Request-Id: 0123456789\r\n\r\n")
	sent := len(request) + len("x-canary: no\r\n")
	go func() {
		conn, err := b.l.Accept()
		if err == nil {
			loop(conn, sent, resp)
		}
	}()
	buf := make([]byte, len(resp))
	return func() {
		if _, err := c.conn.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.conn, buf); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			exchange := steady(b, size)
			exchange()
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				exchange()
			}
		})
	}
}
