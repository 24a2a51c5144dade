package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

var cartService = netip.MustParseAddrPort("10.96.0.10:80")

// echo gives back what it gets, to the end.
func echo(conn net.Conn) {
	_, _ = io.Copy(conn, conn)
	_ = conn.Close()
}

// greet speaks first.
func greet(conn net.Conn) {
	_, _ = io.WriteString(conn, "220 ready\r\n")
	echo(conn)
}

func TestHTTPBetweenSidecars(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", httpApp(t, "cart"), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	for name, protocol := range map[string]config.Protocol{"declared": config.HTTP, "detected": config.Detect} {
		t.Run(name, func(t *testing.T) {
			web.knows(cartService, protocol, cart.endpoint())
			conn := web.dial(cartService)
			for _, path := range []string{"/a", "/b"} { // keep-alive
				if _, body, err := get(conn, path); err != nil || body != "cart "+path {
					t.Fatalf("%q, %v", body, err)
				}
			}
		})
	}
	r := wait(t, &web.records, func() []telemetry.Request { return web.records.requests }, func(r telemetry.Request) bool { return r.Path == "/b" })
	if !r.MTLS || r.Direction != telemetry.Outbound || r.Source.Name != "web" || r.Destination.Name != "cart" || r.Service != "shop/10.96.0.10:80" || r.Code != 200 {
		t.Errorf("outbound record %+v", r)
	}
	r = wait(t, &cart.records, func() []telemetry.Request { return cart.records.requests }, func(r telemetry.Request) bool { return r.Path == "/b" })
	if !r.MTLS || r.Direction != telemetry.Inbound || r.Source.Identity != web.id.String() || r.Destination.Name != "cart" {
		t.Errorf("inbound record %+v", r)
	}
}

func TestOpaqueBetweenSidecars(t *testing.T) {
	m := newMesh(t)
	db := m.pod("db", tcpApp(t, echo), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	to := netip.MustParseAddrPort("10.96.0.11:5432")
	for name, protocol := range map[string]config.Protocol{"declared": config.TCP, "detected": config.Detect} {
		t.Run(name, func(t *testing.T) {
			web.knows(to, protocol, db.endpoint())
			conn := web.dial(to)
			_, _ = conn.Write([]byte("\x00\x01hello"))
			_ = conn.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(conn); string(got) != "\x00\x01hello" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	c := wait(t, &db.records, func() []telemetry.Connection { return db.records.connections }, func(telemetry.Connection) bool { return true })
	if !c.MTLS || c.Source.Identity != web.id.String() || c.BytesIn != 7 || c.BytesOut != 7 || c.Flag != "" {
		t.Errorf("inbound record %+v", c)
	}
}

// Nobody has to take the records.
func TestConnectionsWithoutSink(t *testing.T) {
	web := newMesh(t).pod("web", netip.AddrPort{}, func(o *proxy.Options) { o.Sink = nil })
	to := netip.MustParseAddrPort("10.96.0.11:5432")
	web.knows(to, config.TCP)
	if !web.refused(to) {
		t.Error("a connection to nobody is not refused")
	}
	web.knows(to, config.TCP, config.Endpoint{Address: tcpApp(t, echo)})
	conn := web.dial(to)
	_, _ = conn.Write([]byte("hello"))
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestServerFirst(t *testing.T) {
	m := newMesh(t)
	mail := m.pod("mail", tcpApp(t, greet), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	to := netip.MustParseAddrPort("10.96.0.12:25")
	web.knows(to, config.Detect, mail.endpoint())
	for i := range 4 {
		start := time.Now()
		conn := web.dial(to)
		greeting := make([]byte, 11)
		if _, err := io.ReadFull(conn, greeting); err != nil || string(greeting) != "220 ready\r\n" {
			t.Fatalf("%q, %v", greeting, err)
		}
		if took := time.Since(start); i == 3 && took > 90*time.Millisecond {
			t.Errorf("greeting after %v although the server is known to speak first", took)
		}
		_, _ = io.WriteString(conn, "QUIT")
		if _, err := io.ReadFull(conn, greeting[:4]); err != nil || string(greeting[:4]) != "QUIT" {
			t.Errorf("%q, %v", greeting[:4], err)
		}
	}
}

func TestLateRequestIsStillARequest(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", httpApp(t, "cart"), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, cart.endpoint())
	conn := web.dial(cartService)
	// The upstream is opened while the client is silent; its inbound side sees a connection come.
	_ = conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
	_, _ = conn.Read(make([]byte, 1))
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, body, err := get(conn, "/late"); err != nil || body != "cart /late" {
		t.Fatalf("%q, %v", body, err)
	}
	wait(t, &web.records, func() []telemetry.Request { return web.records.requests }, func(r telemetry.Request) bool { return r.Path == "/late" })
}

func TestUnknownDestinations(t *testing.T) {
	m := newMesh(t)
	web := m.pod("web", netip.AddrPort{}, nil)
	outside := tcpApp(t, greet)
	for _, away := range []bool{false, true} {
		web.control.mu.Lock()
		web.control.away = away
		web.control.mu.Unlock()
		conn := web.dial(outside)
		if _, err := io.ReadFull(conn, make([]byte, 11)); err != nil {
			t.Errorf("control plane away %v: %v", away, err)
		}
		_ = conn.Close()
	}
	web.control.change(func(cfg *config.Config) { cfg.Policy = config.OutboundDeny })
	if !web.refused(outside) {
		t.Error("denied: not refused")
	}
}

func TestInboundModes(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", httpApp(t, "cart"), nil)
	plain := func() (string, error) {
		conn := must(net.Dial("tcp", cart.address().String()))
		defer func() { _ = conn.Close() }()
		_, body, err := get(conn, "/plain")
		return body, err
	}
	if body, err := plain(); err != nil || body != "cart /plain" {
		t.Errorf("permissive: %q, %v", body, err)
	}
	r := wait(t, &cart.records, func() []telemetry.Request { return cart.records.requests }, func(telemetry.Request) bool { return true })
	if r.MTLS || r.Source.Identity != "" {
		t.Errorf("record %+v", r)
	}
	cart.control.change(func(cfg *config.Config) {
		strict := *cfg.Inbound
		strict.Strict = true
		cfg.Inbound = &strict
	})
	if body, err := plain(); err == nil {
		t.Errorf("strict: %q", body)
	}
	// A certificate of another authority opens nothing.
	stranger := newMesh(t).pod("web", netip.AddrPort{}, nil)
	stranger.knows(cartService, config.HTTP, cart.endpoint())
	if response, _, err := get(stranger.dial(cartService), "/"); err != nil || response.StatusCode != 503 {
		t.Errorf("stranger: %v, %v", response, err)
	}
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP, cart.endpoint())
	if _, body, err := get(web.dial(cartService), "/mtls"); err != nil || body != "cart /mtls" {
		t.Errorf("strict with mutual TLS: %q, %v", body, err)
	}
}

func TestWrongIdentityIsNotSpokenTo(t *testing.T) {
	m := newMesh(t)
	pay := m.pod("pay", httpApp(t, "pay"), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	claimed := pay.endpoint()
	claimed.Identity = "spiffe://cluster.local/ns/shop/sa/cart"
	web.knows(cartService, config.HTTP, claimed)
	response, body, err := get(web.dial(cartService), "/")
	if err != nil || response.StatusCode != 503 || strings.Contains(body, "pay /") {
		t.Errorf("%v %q, %v", response, body, err)
	}
}

func TestApplicationTLSPassesThrough(t *testing.T) {
	m := newMesh(t)
	certificate := must(m.ca.Server(time.Hour, "db.example"))
	db := m.pod("db", tcpApp(t, func(conn net.Conn) {
		echo(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"h2"}}))
	}), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	to := netip.MustParseAddrPort("10.96.0.13:5432")
	web.knows(to, config.Detect, db.endpoint())
	for name, dial := range map[string]func() net.Conn{
		"through both sidecars": func() net.Conn { return web.dial(to) },
		"from outside":          func() net.Conn { return must(net.Dial("tcp", db.address().String())) },
	} {
		conn := tls.Client(dial(), &tls.Config{ServerName: "db.example", RootCAs: m.ca.Bundle().Pool(), NextProtos: []string{"h2"}})
		if _, err := io.WriteString(conn, "ping"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "ping" || conn.ConnectionState().NegotiatedProtocol != "h2" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = conn.Close()
	}
}

func TestOwnServiceIsReachedInPlainText(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", httpApp(t, "cart"), nil)
	cart.knows(cartService, config.HTTP, cart.endpoint())
	if _, body, err := get(cart.dial(cartService), "/self"); err != nil || body != "cart /self" {
		t.Fatalf("%q, %v", body, err)
	}
}

func TestCircularConnectionsAreRefused(t *testing.T) {
	m := newMesh(t)
	web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) { o.Reserved = []uint16{15001} })
	for _, to := range []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:15001"), netip.MustParseAddrPort("[::1]:15001")} {
		if !web.refused(to) {
			t.Errorf("%s: not refused", to)
		}
	}
}

// TestInboundIsNoWayToOthers: what was redirected here by mistake or malice is not delivered elsewhere.
func TestInboundIsNoWayToOthers(t *testing.T) {
	m := newMesh(t)
	other := httpApp(t, "other")
	cart := m.pod("cart", httpApp(t, "cart"), func(o *proxy.Options) {
		o.Original = func(net.Conn) (netip.AddrPort, error) { return other, nil }
	})
	conn, err := net.Dial("tcp", cart.address().String())
	if err != nil {
		return // refused before connect had returned
	}
	defer func() { _ = conn.Close() }()
	if _, body, err := get(conn, "/"); err == nil {
		t.Errorf("answered %q", body)
	}
}

// TestNothingCutsConnections changes configuration and certificates under open connections.
func TestNothingCutsConnections(t *testing.T) {
	m := newMesh(t)
	db := m.pod("db", tcpApp(t, echo), nil)
	cart := m.pod("cart", httpApp(t, "cart"), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	to := netip.MustParseAddrPort("10.96.0.11:5432")
	web.knows(to, config.TCP, db.endpoint())
	web.knows(cartService, config.HTTP, cart.endpoint())
	stream, requests := web.dial(to), web.dial(cartService)
	for i := range 50 {
		message := fmt.Sprintf("%08d", i)
		_, _ = io.WriteString(stream, message)
		got := make([]byte, 8)
		if _, err := io.ReadFull(stream, got); err != nil || string(got) != message {
			t.Fatalf("stream after %d changes: %q, %v", i, got, err)
		}
		if _, body, err := get(requests, "/"); err != nil || body != "cart /" {
			t.Fatalf("request after %d changes: %q, %v", i, body, err)
		}
		for _, p := range []*pod{web, db, cart} {
			p.control.change(func(cfg *config.Config) { cfg.AccessLog = !cfg.AccessLog })
			if i%5 == 0 {
				p.source.set(must(m.ca.SVID(p.id, time.Hour)))
			}
		}
		if i == 25 { // the service goes away: new connections feel it, this one does not
			web.knows(to, config.TCP)
		}
	}
}

func TestReady(t *testing.T) {
	m := newMesh(t)
	web := m.pod("web", netip.AddrPort{}, nil)
	if ready, reason := web.proxy.Ready(); !ready {
		t.Error(reason)
	}
	svid := must(web.source.Identity())
	web.source.set(nil)
	if ready, reason := web.proxy.Ready(); ready || !strings.Contains(reason, "certificate") {
		t.Error("ready without certificate:", reason)
	}
	web.source.set(svid)
	web.control.change(func(cfg *config.Config) { cfg.Inbound = nil })
	if ready, reason := web.proxy.Ready(); ready || !strings.Contains(reason, "configuration") {
		t.Error("ready without configuration:", reason)
	}
}

// TestDrain: a stopping sidecar serves its application, both ways, until that is gone.
func TestDrain(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", httpApp(t, "cart"), nil)
	gone := make(chan struct{})
	web := m.pod("web", httpApp(t, "web"), func(o *proxy.Options) {
		o.Drain = proxy.Drain{Max: time.Minute, Quiet: 10 * time.Millisecond, Application: func() bool {
			select {
			case <-gone:
				return false
			default:
				return true
			}
		}}
	})
	web.knows(cartService, config.HTTP, cart.endpoint())
	resting := web.dial(cartService)
	if _, _, err := get(resting, "/before"); err != nil {
		t.Fatal(err)
	}
	web.stop()
	for ready, _ := web.proxy.Ready(); ready; ready, _ = web.proxy.Ready() {
		if web.t.Context().Err() != nil {
			t.Fatal("stays ready")
		}
	}
	for i := range 3 {
		response, body, err := get(web.dial(cartService), "/during")
		if err != nil || body != "cart /during" || !response.Close {
			t.Errorf("outbound %d: %v %q, %v; want Connection: close", i, response, body, err)
		}
		in := must(net.Dial("tcp", web.address().String()))
		if response, body, err := get(in, "/in"); err != nil || body != "web /in" || !response.Close {
			t.Errorf("inbound %d: %v %q, %v; want Connection: close", i, response, body, err)
		}
		_ = in.Close()
	}
	select {
	case err := <-web.done:
		t.Fatalf("ended while the application is there: %v", err)
	default:
	}
	close(gone)
	if err := <-web.done; err != nil {
		t.Error(err)
	}
	web.done <- nil
}

func TestDrainIsBounded(t *testing.T) {
	m := newMesh(t)
	db := m.pod("db", tcpApp(t, echo), nil)
	to := netip.MustParseAddrPort("10.96.0.11:5432")
	for name, edit := range map[string]func(*proxy.Drain, context.CancelFunc){
		"time is up":    func(d *proxy.Drain, _ context.CancelFunc) { d.Max = 100 * time.Millisecond },
		"second signal": func(_ *proxy.Drain, abort context.CancelFunc) { abort() },
	} {
		abort, end := context.WithCancel(context.Background())
		web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) {
			o.Drain = proxy.Drain{Max: time.Minute, Quiet: time.Second, Abort: abort}
			edit(&o.Drain, end)
		})
		web.knows(to, config.TCP, db.endpoint())
		stuck := web.dial(to)
		_, _ = io.WriteString(stuck, "x")
		_, _ = io.ReadFull(stuck, make([]byte, 1))
		start := time.Now()
		web.stop()
		if err := <-web.done; err != nil || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(start))
		}
		web.done <- nil
		end()
	}
}
