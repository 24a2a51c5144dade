//go:build linux && !race

// Frames are larger under the race detector, and the data path is another one on other systems.

package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/tlsx"
	"github.com/leno-mesh/leno/test/poll"
)

// TestRestingConnectionsHaveSmallStacks: the garbage collector halves a stack of which less than a quarter is in use, so what is on
// it while a connection rests decides whether it keeps 4 KiB or 8.
func TestRestingConnectionsHaveSmallStacks(t *testing.T) {
	whole, m := t, newMesh(t)
	var kept sync.Map // the application's connections, without goroutines
	plain := func(app netip.AddrPort) config.Endpoint { return config.Endpoint{Address: app} }
	app := app2(t, func(http.ResponseWriter, *http.Request) {})
	web := m.pod("web", app, nil)
	web.knows(cartService, config.HTTP, plain(app))
	queue := netip.MustParseAddrPort("10.96.0.12:5672")
	web.knows(queue, config.TCP, plain(tcpApp(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "hello")
		kept.Store(conn, true)
	})))
	request := func(conn net.Conn) {
		if response, _, err := get(conn, "/"); err != nil || response.StatusCode != 200 {
			t.Fatal(response, err)
		}
	}
	request2 := func(conn net.Conn) {
		peer := newPeer2(t, conn)
		peer.do(io.WriteString(conn, preface2))
		peer.do(0, peer.WriteSettings())
		peer.get(1, "/")
		if status := peer.status(1); status != "200" {
			t.Fatal(status)
		}
		peer.do(0, peer.WritePing(false, [8]byte{})) // only when something has come is it seen that there are no streams
		for {
			f, err := peer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := f.(*xhttp2.PingFrame); ok {
				break
			}
		}
	}
	outbound := func(to netip.AddrPort) func() net.Conn { return func() net.Conn { return web.dial(to) } }
	inbound := func() net.Conn { return must(net.Dial("tcp", web.address().String())) }
	mutual := func(protocol string) func() net.Conn {
		return func() net.Conn { return tls.Client(inbound(), identity.ClientTLS(web.source, web.id, protocol)) }
	}
	for _, c := range []struct {
		name       string
		dial       func() net.Conn
		use        func(net.Conn)
		goroutines int // for each connection
	}{
		{"HTTP/1.1 outbound", outbound(cartService), request, 1},
		{"HTTP/1.1 inbound", inbound, request, 1},
		{"HTTP/1.1 inbound in mutual TLS", mutual(tlsx.HTTP1), request, 1},
		{"HTTP/2 outbound", outbound(cartService), request2, 2},
		{"HTTP/2 inbound in mutual TLS", mutual(tlsx.HTTP2), request2, 2},
		{"relay", outbound(queue), func(conn net.Conn) { _, _ = io.ReadFull(conn, make([]byte, 5)) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n, most = 500, 4<<10 + 512
			c.use(c.dial())
			before, each := stacks(), 0
			for range n {
				conn := c.dial()
				whole.Cleanup(func() { _ = conn.Close() }) // at the end: the stacks of those that are gone would be used again, and count for nothing
				c.use(conn)
			}
			defer func() { t.Logf("%d bytes for each goroutine of a resting connection", each) }()
			poll.Until(t, 15*time.Second, "at most 4 KiB of stack for each goroutine of a resting connection", func() bool {
				each = (stacks() - before) / n / c.goroutines
				return each <= most
			})
		})
	}
}

// stacks is the memory of all stacks, when they are as small as they get.
func stacks() int {
	for range 3 {
		runtime.GC()
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}
