package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

var tlsService = netip.MustParseAddrPort("10.96.0.20:443")

// tlsApp is a TLS server that says its name and the server name that it was asked for.
func tlsApp(t *testing.T, name string) netip.AddrPort {
	certificates := httptest.NewTLSServer(nil)
	t.Cleanup(certificates.Close)
	settings := &tls.Config{Certificates: certificates.TLS.Certificates}
	return tcpApp(t, func(conn net.Conn) {
		secured := tls.Server(conn, settings)
		if secured.Handshake() == nil {
			_, _ = io.WriteString(secured, name+" "+secured.ConnectionState().ServerName)
		}
		_ = secured.Close()
	})
}

// withSNI makes the control plane answer for a destination with rules; clusters are plain endpoints by name.
func (p *pod) withSNI(to netip.AddrPort, clusters map[string][]netip.AddrPort, rules ...config.SNIRule) {
	p.control.change(func(cfg *config.Config) {
		cfg.Clusters = map[string]*config.Cluster{}
		for name, addresses := range clusters {
			c := &config.Cluster{Name: name}
			for _, a := range addresses {
				c.Endpoints = append(c.Endpoints, config.Endpoint{Address: a, Workload: config.Workload{Name: name}})
			}
			cfg.Clusters[name] = c
		}
		cfg.Outbound[to] = &config.Listener{Name: "outbound/" + to.String(), Protocol: config.TLS, Service: "shop/edge:443", SNI: rules}
	})
}

func TestPassthroughByServerName(t *testing.T) {
	m := newMesh(t)
	registry := prometheus.NewRegistry()
	web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) { o.Counters = telemetry.NewCounters(registry) })
	route := func(name string, names ...string) config.SNIRule {
		return config.SNIRule{Origin: config.Origin{Kind: "TLSRoute", Name: name}, Names: names, Shares: []config.Share{{Cluster: name, Weight: 1}}}
	}
	dead := config.SNIRule{Names: []string{"dead.example.com"}, Shares: []config.Share{{Weight: 1}}}
	web.withSNI(tlsService, map[string][]netip.AddrPort{"exact": {tlsApp(t, "exact")}, "wild": {tlsApp(t, "wild")}},
		route("wild", "*.example.com"), route("exact", "www.example.com"), dead)
	for name, want := range map[string]string{
		"www.example.com": "exact www.example.com", "a.b.example.com": "wild a.b.example.com",
		"example.org": "", "dead.example.com": "", "": "",
	} {
		conn := tls.Client(web.dial(tlsService), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		got, err := io.ReadAll(conn)
		_ = conn.Close()
		if want == "" && !errors.Is(err, syscall.ECONNRESET) || want != "" && err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	connections := func() []telemetry.Connection { return web.records.connections }
	c := wait(t, &web.records, connections, func(c telemetry.Connection) bool { return c.Destination.Name == "exact" })
	// The flag is not looked at: whose end comes first decides whether the last words of TLS are answered with a reset.
	if c.Protocol != "TLS" || c.Origin.Name != "exact" || c.Service != "shop/edge:443" || c.BytesIn == 0 {
		t.Errorf("record %+v", c)
	}
	wait(t, &web.records, connections, func(c telemetry.Connection) bool { return c.Flag == "no_server_name" && c.Protocol == "TLS" })
	wait(t, &web.records, connections, func(c telemetry.Connection) bool { return c.Flag == "no_endpoints" })

	conn := web.dial(tlsService)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("what is no TLS: %v, want a reset", err)
	}
	wait(t, &web.records, connections, func(c telemetry.Connection) bool { return c.Flag == "no_client_hello" })
	if got := testutil.CollectAndCount(registry, "leno_connections_refused_total"); got != 2 {
		t.Errorf("refusals are counted by %d reasons, want server_name and not_tls", got)
	}
}

// A ClientHello that names no server belongs to the rule without names, and goes on byte for byte.
func TestPassthroughWithoutServerName(t *testing.T) {
	m := newMesh(t)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.withSNI(tlsService, map[string][]netip.AddrPort{"rest": {tcpApp(t, echo)}, "named": {tlsApp(t, "named")}},
		config.SNIRule{Names: []string{"www.example.com"}, Shares: []config.Share{{Cluster: "named", Weight: 1}}},
		config.SNIRule{Shares: []config.Share{{Cluster: "rest", Weight: 1}}})
	near, far := net.Pipe()
	go func() { _ = tls.Client(near, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	hello := make([]byte, 1<<14)
	n := must(far.Read(hello))
	_ = far.Close()
	conn := web.dial(tlsService)
	_, _ = conn.Write(hello[:n])
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); !bytes.Equal(got, hello[:n]) || err != nil {
		t.Errorf("%d bytes of %d, %v", len(got), n, err)
	}
	cut := web.dial(tlsService)
	_, _ = cut.Write(hello[:n/2]) // may name a server in what is missing
	_ = cut.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(cut); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("half a hello: %v, want a reset", err)
	}
}

func TestWeightedConnections(t *testing.T) {
	m := newMesh(t)
	random := uint64(0)
	web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) {
		o.Random = func() uint64 { random++; return random }
	})
	name := func(name string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, name); _ = conn.Close() }
	}
	to := netip.MustParseAddrPort("10.96.0.21:5432")
	a, b := tcpApp(t, name("a")), tcpApp(t, name("b"))
	web.control.change(func(cfg *config.Config) {
		cfg.Clusters = map[string]*config.Cluster{
			"a": {Name: "a", Endpoints: []config.Endpoint{{Address: a}}}, "b": {Name: "b", Endpoints: []config.Endpoint{{Address: b}}}}
		cfg.Outbound[to] = &config.Listener{Protocol: config.TCP, Shares: []config.Share{{Cluster: "a", Weight: 1}, {Cluster: "b", Weight: 3}}}
	})
	got := map[string]int{}
	for range 8 {
		got[string(must(io.ReadAll(web.dial(to))))]++
	}
	if got["a"] != 2 || got["b"] != 6 {
		t.Errorf("%v, want a and b in 1:3", got)
	}
}
