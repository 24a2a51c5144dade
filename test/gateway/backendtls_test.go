package gateway

import (
	"crypto/tls"
	"slices"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/test/records"
)

// TestBackendTLS: endpoints are spoken to in TLS, in the version of HTTP that the port is declared as, and must prove their names.
func TestBackendTLS(t *testing.T) {
	g := Start(t)
	p := newPKI()
	tlsApp := func(name string) mesh.Endpoint {
		c := p.server("app.test", "*.wild.test")
		c.ClientAuth = tls.RequestClientCert
		return at(app(t, name, c))
	}
	backend := func(name string, protocol mesh.Protocol, how mesh.BackendTLS) mesh.ServicePort {
		return g.Backend(name, func(port *mesh.Port) { port.Protocol, port.TLS = protocol, &how }, tlsApp(name))
	}
	roots := p.Bundle().PEM()
	good := backend("good", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "app.test", Roots: roots})
	http2 := backend("http2", mesh.ProtocolHTTP2, mesh.BackendTLS{Hostname: "app.test", Roots: roots})
	undeclared := backend("undeclared", mesh.ProtocolUndeclared, mesh.BackendTLS{Hostname: "a.wild.test", Roots: roots})
	other := backend("other", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "wrong.test", Roots: roots})
	sans := backend("sans", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "wrong.test", SANs: []mesh.SAN{{URI: "spiffe://x/y"}, {DNS: "app.test"}}, Roots: roots})
	strict := backend("strict", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "app.test", SANs: []mesh.SAN{{DNS: "wrong.test"}}, Roots: roots})
	pattern := backend("pattern", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "app.test", SANs: []mesh.SAN{{DNS: "app.tes."}}, Roots: roots})
	wildcard := backend("wildcard", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "app.test", SANs: []mesh.SAN{{DNS: "*.test"}}, Roots: roots})
	system := backend("system", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "app.test"})
	bad := backend("bad", mesh.ProtocolHTTP, mesh.BackendTLS{Hostname: "app.test", Roots: roots, Fail: &mesh.Failure{Status: 500, Reason: "InvalidCACertificateRef"}})
	var hosts []mesh.Host
	for _, sp := range []mesh.ServicePort{good, http2, undeclared, other, sans, strict, pattern, wildcard, system, bad} {
		hosts = append(hosts, host(sp.Name.Name, to(sp)))
	}
	g.Change(func(_ *mesh.Mesh, one *mesh.Gateway) { one.ClientCertificate = p.secret("client", "gateway.test") })
	g.Ports(plainHTTP(80, hosts...))
	for _, both := range []bool{false, true} {
		c := client{t: t, address: g.Address(80), http2: both}
		for name, want := range map[string]seen{
			"good": {Protocol: "HTTP/1.1", Server: "app.test"}, "http2": {Protocol: "HTTP/2.0", Server: "app.test"},
			"undeclared": {Protocol: "HTTP/1.1", Server: "a.wild.test"}, "sans": {Protocol: "HTTP/1.1", Server: "wrong.test"},
			"wildcard": {Protocol: "HTTP/1.1", Server: "app.test"},
		} {
			a := g.from(c, "http://"+name+"/", name)
			if a.seen.Protocol != want.Protocol || a.seen.Server != want.Server || a.seen.Client != "gateway.test" {
				t.Errorf("%s: %+v", name, a.seen)
			}
		}
		for _, name := range []string{"other", "strict", "pattern", "system"} {
			g.answered(c, "http://"+name+"/", 503)
		}
		g.answered(c, "http://bad/", 500)
	}
}

// TestRelayToTLS: what a gateway has terminated goes on in TLS to a backend that wants it.
func TestRelayToTLS(t *testing.T) {
	g := Start(t)
	edge, backends := newPKI(), newPKI()
	sp := g.Backend("greeter", func(port *mesh.Port) {
		port.Protocol, port.TLS = mesh.ProtocolTCP, &mesh.BackendTLS{Hostname: "greeter.test", Roots: backends.Bundle().PEM()}
	}, at(greeter(t, "hello", backends.server("greeter.test"))))
	fails := g.Backend("fails", func(port *mesh.Port) {
		port.Protocol, port.TLS = mesh.ProtocolTCP, &mesh.BackendTLS{Hostname: "greeter.test", Fail: &mesh.Failure{Status: 500, Reason: "Invalid"}}
	}, at(greeter(t, "hello", backends.server("greeter.test"))))
	g.Ports(mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{{
		Protocol: mesh.ListenerTLS, TLS: &mesh.Termination{Certificates: []*mesh.Certificate{edge.secret("c", "www.test", "fails.test")}},
		Servers: []mesh.Server{named("www.test", split(share(sp, 1))), named("fails.test", split(share(fails, 1)))},
	}}})
	says := func(name string) string {
		conn, err := secure(g.Address(443), name, edge)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = conn.Close() }()
		return greeting(conn)
	}
	g.Eventually("the backend greets", func() bool { return says("www.test") == "hello" })
	if got := says("fails.test"); got != "" {
		t.Errorf("a backend whose policy is not valid says %q", got)
	}
}

// TestPassThroughToTLS: TLS that passes a gateway goes to a backend with a policy as it is, not in TLS once more.
func TestPassThroughToTLS(t *testing.T) {
	g := Start(t)
	backends := newPKI()
	sp := g.Backend("greeter", func(port *mesh.Port) {
		port.Protocol, port.TLS = mesh.ProtocolTLS, &mesh.BackendTLS{Hostname: "greeter.test", Roots: backends.Bundle().PEM()}
	}, at(greeter(t, "hello", backends.server("greeter.test"))))
	g.Ports(mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{{
		Protocol: mesh.ListenerTLS, Servers: []mesh.Server{named("greeter.test", split(share(sp, 1)))},
	}}})
	g.Eventually("the backend greets", func() bool {
		conn, err := secure(g.Address(443), "greeter.test", backends)
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		return greeting(conn) == "hello"
	})
}

// TestMesh: endpoints with a sidecar get mutual TLS with the gateway's identity, and the application's TLS through it.
func TestMesh(t *testing.T) {
	g := Start(t)
	p := newPKI()
	plain, secured := g.Sidecar("plain", app(t, "plain", nil)), g.Sidecar("secured", app(t, "secured", p.server("app.test")))
	one := g.Backend("plain", nil, plain.endpoint)
	two := g.Backend("secured", func(port *mesh.Port) {
		port.TLS = &mesh.BackendTLS{Hostname: "app.test", Roots: p.Bundle().PEM()}
	}, secured.endpoint)
	three := g.Backend("relayed", func(port *mesh.Port) { port.Protocol = mesh.ProtocolTCP }, plain.endpoint)
	g.Ports(plainHTTP(80, host("plain", to(one)), host("secured", to(two))), plainTCP(9000, split(share(three, 1))))
	for _, http2 := range []bool{false, true} {
		c := client{t: t, address: g.Address(80), http2: http2}
		if a := g.from(c, "http://plain/", "plain"); a.seen.Protocol != "HTTP/1.1" {
			t.Errorf("client %s, backend %s", a.protocol, a.seen.Protocol)
		}
		g.from(c, "http://secured/", "secured")
	}
	g.from(client{t: t, address: g.Address(9000)}, "http://relayed/", "plain")
	const gateway = "spiffe://cluster.local/ns/edge/sa/gw-leno"
	g.Eventually("the sidecar has seen the gateway's identity", func() bool { return cameFrom(gateway, plain.records) })
}

// cameFrom tells whether a sidecar got a request in mutual TLS from an identity.
func cameFrom(id string, r *records.Records) bool {
	return slices.ContainsFunc(r.Requests(telemetry.Inbound), func(one telemetry.Request) bool { return one.MTLS && one.Source.Identity == id })
}
