package gateway

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

// TestXBackend: hosts outside of the mesh are found by name, spoken to as they say, and the first requests wait for DNS.
func TestXBackend(t *testing.T) {
	g := Start(t)
	p := newPKI()
	secured := func(change func(*mesh.Port)) func(*mesh.Port) {
		return func(port *mesh.Port) {
			port.TLS = &mesh.BackendTLS{Hostname: "app.test", Roots: p.Bundle().PEM()}
			change(port)
		}
	}
	shown := p.server("app.test")
	shown.ClientAuth = tls.RequestClientCert
	plain := g.XBackend("plain.test", nil, app(t, "plain", nil))
	http1 := g.XBackend("http1.test", secured(func(*mesh.Port) {}), app(t, "http1", p.server("app.test")))
	http2 := g.XBackend("http2.test", secured(func(port *mesh.Port) {
		port.Protocol, port.TLS.Certificate = mesh.ProtocolHTTP2, p.secret("client", "gateway.test")
	}), app(t, "http2", shown))
	other := g.XBackend("other.test", secured(func(port *mesh.Port) { port.TLS.Hostname = "wrong.test" }), app(t, "other", p.server("app.test")))
	tcp := g.XBackend("tcp.test", func(port *mesh.Port) { port.Protocol = mesh.ProtocolTCP }, greeter(t, "tcp", nil))
	gone := g.XBackend("gone.test", nil, app(t, "gone", nil))
	g.mu.Lock()
	delete(g.names, "gone.test")
	g.mu.Unlock()
	var hosts []mesh.Host
	for _, sp := range []mesh.ServicePort{plain, http1, http2, other, gone} {
		hosts = append(hosts, host(sp.Name.Name, to(sp)))
	}
	g.Ports(plainHTTP(80, hosts...), plainTCP(9000, split(share(tcp, 1))))

	// Nobody knows an address yet.
	first := make(chan string, 3)
	for _, both := range []bool{false, true} {
		c := client{t: t, address: g.Address(80), http2: both}
		go func() {
			a, _ := c.get("http://plain.test/") // what is no answer is none of an application's
			first <- a.seen.App
		}()
	}
	go func() { first <- hello(g.Address(9000)) }()
	g.Eventually("all have come", func() bool {
		metrics, _ := client{t: t, address: g.Health.String()}.get("http://health/metrics")
		return strings.Contains(metrics.text, `leno_connections_opened_total{direction="gateway"} 3`)
	})
	close(g.awake)
	got := map[string]int{}
	for range 3 {
		got[<-first]++
	}
	if got["plain"] != 2 || got["tcp"] != 1 {
		t.Errorf("the first were answered by %v", got)
	}

	for _, both := range []bool{false, true} {
		c := client{t: t, address: g.Address(80), http2: both}
		for name, want := range map[string]seen{
			"plain": {Protocol: "HTTP/1.1"}, "http1": {Protocol: "HTTP/1.1", Server: "app.test"},
			"http2": {Protocol: "HTTP/2.0", Server: "app.test", Client: "gateway.test"},
		} {
			a := g.from(c, "http://"+name+".test/", name)
			if a.seen.Protocol != want.Protocol || a.seen.Server != want.Server || a.seen.Client != want.Client {
				t.Errorf("%s: %+v", name, a.seen)
			}
		}
		g.answered(c, "http://other.test/", 503) // it does not prove its name
		g.answered(c, "http://gone.test/", 503)
	}
}
