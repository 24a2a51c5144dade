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

// resting is a kind of connections that rest.
type resting struct {
	name       string
	dial       func() net.Conn
	use        func(*testing.T, net.Conn)
	goroutines int                        // for each
	again      func(*testing.T, net.Conn) // after it has rested
}

const manyResting = 500

// TestRestingConnectionsHaveSmallStacks: the garbage collector halves a stack of which less than a quarter is in use, so what is on
// it while a connection rests decides whether it keeps 4 KiB or 8.
func TestRestingConnectionsHaveSmallStacks(t *testing.T) {
	m := newMesh(t)
	app := app2(t, func(http.ResponseWriter, *http.Request) {})
	var greeted sync.Map // the connections of an application that speaks first; no goroutine reads from them
	greeter := tcpApp(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "hello")
		greeted.Store(conn, true)
	})
	web, mail := m.pod("web", app, nil), m.pod("mail", greeter, nil)
	mailService := netip.MustParseAddrPort("10.96.0.12:25")
	web.knows(cartService, config.HTTP, config.Endpoint{Address: app})
	web.knows(mailService, config.TCP, config.Endpoint{Address: greeter})

	outbound := func(to netip.AddrPort) func() net.Conn { return func() net.Conn { return web.dial(to) } }
	inbound := func(to *pod) net.Conn { return must(net.Dial("tcp", to.address().String())) }
	mutual := func(to *pod, protocol string) func() net.Conn {
		return func() net.Conn { return tls.Client(inbound(to), identity.ClientTLS(web.source, to.id, protocol)) }
	}
	var rested []func()
	for _, c := range []resting{
		{"HTTP/1.1 outbound", outbound(cartService), asks, 1, asks},
		{"HTTP/1.1 inbound", func() net.Conn { return inbound(web) }, asks, 1, asks},
		{"HTTP/1.1 inbound in mutual TLS", mutual(web, tlsx.HTTP1), asks, 1, asks},
		{"HTTP/2 outbound", outbound(cartService), asks2, 2, pings2},
		{"HTTP/2 inbound in mutual TLS", mutual(web, tlsx.HTTP2), asks2, 2, pings2},
		{"relay outbound", outbound(mailService), hears, 2, speaks},
		{"relay inbound in mutual TLS", mutual(mail, tlsx.TCP), hears, 2, speaks},
	} {
		t.Run(c.name, func(sub *testing.T) {
			for _, conn := range c.rest(sub) {
				t.Cleanup(func() { _ = conn.Close() })
				rested = append(rested, func() {
					_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
					c.again(t, conn)
				})
			}
		})
	}
	for _, again := range rested { // when all is measured: stacks that became free would be used again, and count for nothing
		again()
	}
	var heard atomic.Int64
	greeted.Range(func(conn, _ any) bool {
		go func() {
			n, _ := conn.(net.Conn).Read(make([]byte, 1))
			heard.Add(int64(n))
		}()
		return true
	})
	poll.Until(t, 10*time.Second, "the relays go on", func() bool { return heard.Load() == 2*manyResting })
}

// rest opens connections, and returns when their stacks are small.
func (c resting) rest(t *testing.T) []net.Conn {
	const most = 4<<10 + 512
	c.use(t, c.dial()) // what all have in common is there before
	before, each := stacks(), 0
	conns := make([]net.Conn, manyResting)
	for i := range conns {
		conns[i] = c.dial()
		c.use(t, conns[i])
	}
	defer func() { t.Logf("%d bytes for each goroutine of a resting connection", each) }()
	poll.Until(t, 15*time.Second, "at most 4 KiB of stack for each goroutine of a resting connection", func() bool {
		each = (stacks() - before) / len(conns) / c.goroutines
		return each <= most
	})
	return conns
}

func asks(t *testing.T, conn net.Conn) {
	if response, _, err := get(conn, "/"); err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
}

func asks2(t *testing.T, conn net.Conn) {
	peer := newPeer2(t, conn)
	peer.do(io.WriteString(conn, preface2))
	peer.do(0, peer.WriteSettings())
	peer.get(1, "/")
	if status := peer.status(1); status != "200" {
		t.Fatal(status)
	}
	pings2(t, conn) // it rests from when something comes while there are no streams, or after two ticks of 10 s
}

func pings2(t *testing.T, conn net.Conn) {
	peer := newPeer2(t, conn)
	peer.do(0, peer.WritePing(false, [8]byte{}))
	for {
		f, err := peer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.(*xhttp2.PingFrame); ok {
			return
		}
	}
}

func hears(t *testing.T, conn net.Conn) {
	if _, err := io.ReadFull(conn, make([]byte, len("hello"))); err != nil {
		t.Fatal(err)
	}
}

func speaks(t *testing.T, conn net.Conn) {
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Fatal(err)
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
