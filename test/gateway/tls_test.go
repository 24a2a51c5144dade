package gateway

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/mesh"
)

func trusts(p pki) *tls.Config { return &tls.Config{RootCAs: p.pool()} }

// secure is a TLS connection to an address, asking for a name.
func secure(address, name string, p pki) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: patience}
	return tls.DialWithDialer(dialer, "tcp", address, &tls.Config{RootCAs: p.pool(), ServerName: name})
}

// TestHTTPS: the name that a client asks for in TLS chooses certificate and routes; ALPN chooses the version of HTTP.
func TestHTTPS(t *testing.T) {
	g := Start(t)
	one := g.Backend("one", nil, at(app(t, "one", nil)))
	two := g.Backend("two", nil, at(app(t, "two", nil)))
	certs, others := newPKI(), newPKI()
	listeners := []*mesh.Listener{
		https("one.example.com", certs.secret("one", "one.example.com"), host("one.example.com", to(one)), host("two.example.com", does(mesh.Rule{
			Fail: &mesh.Failure{Status: 421, Reason: "MisdirectedRequest"},
		}))),
		https("*.example.com", others.secret("two", "*.example.com"), host("two.example.com", to(two))),
	}
	g.Ports(mesh.GatewayPort{Number: 443, Listeners: listeners})
	for _, http2 := range []bool{false, true} {
		c := client{t: t, address: g.Address(443), tls: trusts(certs), http2: http2}
		if a := g.from(c, "https://one.example.com/", "one"); http2 != (a.protocol == "HTTP/2.0") || a.seen.Protocol != "HTTP/1.1" {
			t.Errorf("client %s, backend %s", a.protocol, a.seen.Protocol)
		}
		g.refused(c, "https://two.example.com/") // of another authority
		c.tls = trusts(others)
		g.from(c, "https://two.example.com/", "two")
		g.answered(c, "https://three.example.com/", 404)
		c.tls.InsecureSkipVerify = true
		g.refused(c, "https://example.org/")
		// A connection for one host is none for the other.
		c.tls = &tls.Config{RootCAs: certs.pool(), ServerName: "one.example.com"}
		g.answered(c, "https://two.example.com/", 421)
	}
	noName := &tls.Config{InsecureSkipVerify: true} // an address instead of a name is not asked for
	g.refused(client{t: t, address: g.Address(443), tls: noName}, "https://127.0.0.1/")
	g.Ports(mesh.GatewayPort{Number: 443, Listeners: append(listeners, https("", others.secret("rest", "rest.test"), host("", to(one))))})
	g.from(client{t: t, address: g.Address(443), tls: noName}, "https://127.0.0.1/", "one")
	if conn, err := net.DialTimeout("tcp", g.Address(443), patience); err != nil {
		t.Error(err)
	} else if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil || greeting(conn) != "" {
		t.Error("plain text was answered at a port for TLS")
	}
}

// TestTLS: one port passes some names through, terminates others, and serves HTTPS for others again; what no route takes is
// refused, rather than left to a listener with a wider name.
func TestTLS(t *testing.T) {
	g := Start(t)
	backends, edge := newPKI(), newPKI()
	through := g.Backend("through", nil, at(greeter(t, "through", backends.server("a.pass.test", "b.pass.test"))))
	ended := g.Backend("ended", nil, at(greeter(t, "ended", nil)))
	web := g.Backend("web", nil, at(app(t, "web", nil)))
	certificate := edge.secret("edge", "*.term.test", "www.test", "b.pass.test", "*.test")
	g.Ports(mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{
		{Protocol: mesh.ListenerTLS, Hostname: "*.pass.test", Servers: []mesh.Server{named("a.pass.test", split(share(through, 1)))}},
		{
			Protocol: mesh.ListenerTLS, Hostname: "*.term.test", TLS: &mesh.Termination{Certificates: []*mesh.Certificate{certificate}},
			Servers: []mesh.Server{named("*.term.test", split(share(ended, 1)))},
		},
		https("", certificate, host("", to(web))),
	}})
	says := func(name string, p pki) string {
		conn, err := secure(g.Address(443), name, p)
		if err != nil {
			return ""
		}
		defer func() { _ = conn.Close() }()
		return greeting(conn)
	}
	g.Eventually("TLS passes through", func() bool { return says("a.pass.test", backends) == "through" })
	g.Eventually("TLS is terminated", func() bool { return says("x.y.term.test", edge) == "" && says("x.term.test", edge) == "ended" })
	g.from(client{t: t, address: g.Address(443), tls: trusts(edge)}, "https://www.test/", "web")
	if _, err := secure(g.Address(443), "b.pass.test", edge); err == nil {
		t.Error("a name of the listener for TLS that no route takes was served")
	}
}

// TestRenewal: new connections get the renewed certificate, those that are open go on.
func TestRenewal(t *testing.T) {
	g := Start(t)
	old, renewed := newPKI(), newPKI()
	sp := g.Backend("greeter", nil, at(greeter(t, "hello", nil)))
	ports := func(p pki) []mesh.GatewayPort {
		return []mesh.GatewayPort{{Number: 443, Listeners: []*mesh.Listener{{
			Protocol: mesh.ListenerTLS, TLS: &mesh.Termination{Certificates: []*mesh.Certificate{p.secret("c", "www.test")}},
			Servers: []mesh.Server{named("", split(share(sp, 1)))},
		}}}}
	}
	g.Ports(ports(old)...)
	var open net.Conn
	g.Eventually("the certificate is there", func() (ok bool) {
		conn, err := secure(g.Address(443), "www.test", old)
		open = conn
		return err == nil
	})
	if got := greeting(open); got != "hello" {
		t.Errorf("greeting %q", got)
	}
	g.Ports(ports(renewed)...)
	g.Eventually("the renewed certificate is in use", func() bool {
		conn, err := secure(g.Address(443), "www.test", renewed)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if _, err := open.Write([]byte("still here\n")); err != nil || greeting(open) != "still here" {
		t.Error("the connection that was open did not go on")
	}
}

// TestClientCertificates: only valid ones get in; with fallback everybody does.
func TestClientCertificates(t *testing.T) {
	g := Start(t)
	edge, clients, strangers := newPKI(), newPKI(), newPKI()
	sp := g.Backend("app", nil, at(app(t, "app", nil)))
	ports := func(v *mesh.ClientValidation) {
		l := https("", edge.secret("c", "www.test"), host("", to(sp)))
		l.TLS.Clients = v
		g.Ports(mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{l}})
	}
	shows := func(p *pki) client {
		c := client{t: t, address: g.Address(443), tls: trusts(edge)}
		if p != nil {
			// Shown even where the server says that it does not know its authority.
			pair := must(p.Server(time.Hour, "client.test"))
			c.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
		}
		return c
	}
	ports(&mesh.ClientValidation{Roots: clients.Bundle().PEM()})
	g.from(shows(&clients), "https://www.test/", "app")
	g.refused(shows(&strangers), "https://www.test/")
	g.refused(shows(nil), "https://www.test/")

	ports(&mesh.ClientValidation{Roots: clients.Bundle().PEM(), Fallback: true})
	g.from(shows(nil), "https://www.test/", "app")
	g.from(shows(&strangers), "https://www.test/", "app")

	ports(&mesh.ClientValidation{Roots: []byte("nothing that can be read")})
	g.refused(shows(&clients), "https://www.test/")
}
