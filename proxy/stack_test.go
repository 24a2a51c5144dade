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
	"sync/atomic"
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
	greets := tcpApp(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "hello")
		kept.Store(conn, true)
	})
	mail := m.pod("mail", greets, nil)
	mailService := netip.MustParseAddrPort("10.96.0.12:25")
	web.knows(mailService, config.TCP, plain(greets))
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
	greeting := func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	sent := 0
	speaks := func(conns []net.Conn) {
		for _, conn := range conns {
			n, _ := io.WriteString(conn, "x")
			sent += n
		}
	}
	serves := func(conns []net.Conn) {
		for _, conn := range conns {
			request(conn)
		}
	}
	none := func([]net.Conn) {}
	outbound := func(to netip.AddrPort) func() net.Conn { return func() net.Conn { return web.dial(to) } }
	inbound := func(to *pod) net.Conn { return must(net.Dial("tcp", to.address().String())) }
	mutual := func(to *pod, protocol string) func() net.Conn {
		return func() net.Conn { return tls.Client(inbound(to), identity.ClientTLS(web.source, to.id, protocol)) }
	}
	var after []func() // when all is measured: stacks that became free would be used again, and count for nothing
	for _, c := range []struct {
		name       string
		dial       func() net.Conn
		use        func(net.Conn)
		goroutines int // for each connection
		again      func([]net.Conn)
	}{
		{"HTTP/1.1 outbound", outbound(cartService), request, 1, serves},
		{"HTTP/1.1 inbound", func() net.Conn { return inbound(web) }, request, 1, serves},
		{"HTTP/1.1 inbound in mutual TLS", mutual(web, tlsx.HTTP1), request, 1, serves},
		{"HTTP/2 outbound", outbound(cartService), request2, 2, none},
		{"HTTP/2 inbound in mutual TLS", mutual(web, tlsx.HTTP2), request2, 2, none},
		{"relay outbound", outbound(mailService), greeting, 2, speaks},
		{"relay inbound in mutual TLS", mutual(mail, tlsx.TCP), greeting, 2, speaks},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n, most = 500, 4<<10 + 512
			c.use(c.dial())
			before, each := stacks(), 0
			conns := make([]net.Conn, n)
			for i := range conns {
				conns[i] = c.dial()
				whole.Cleanup(func() { _ = conns[i].Close() })
				c.use(conns[i])
			}
			defer func() { t.Logf("%d bytes for each goroutine of a resting connection", each) }()
			poll.Until(t, 15*time.Second, "at most 4 KiB of stack for each goroutine of a resting connection", func() bool {
				each = (stacks() - before) / n / c.goroutines
				return each <= most
			})
			after = append(after, func() { c.again(conns) })
		})
	}
	for _, use := range after {
		use()
	}
	var heard atomic.Int64
	kept.Range(func(conn, _ any) bool {
		go func() {
			n, _ := conn.(net.Conn).Read(make([]byte, 1))
			heard.Add(int64(n))
		}()
		return true
	})
	poll.Until(t, 10*time.Second, "relays that rested go on", func() bool { return heard.Load() == int64(sent) })
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
