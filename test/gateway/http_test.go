package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

// TestHTTP: a port serves HTTP/1.1 and HTTP/2, and finds routes by host, whatever its case and port.
func TestHTTP(t *testing.T) {
	g := Start(t)
	exact := g.Backend("exact", nil, at(app(t, "exact", nil)))
	wild := g.Backend("wild", nil, at(app(t, "wild", nil)))
	rest := g.Backend("rest", nil, at(app(t, "rest", nil)))
	g.Ports(plainHTTP(80, host("www.example.com", to(exact)), host("*.example.com", to(wild)), host("", to(rest))))
	for _, http2 := range []bool{false, true} {
		c := client{t: t, address: g.Address(80), http2: http2}
		for host, want := range map[string]string{
			"www.example.com": "exact", "WWW.Example.com:8080": "exact", "a.b.example.com": "wild", "example.com": "rest", "[::1]:80": "rest",
		} {
			a := g.from(c, "http://"+host+"/path", want)
			if a.seen.Host != host || a.protocol[:6] != map[bool]string{false: "HTTP/1", true: "HTTP/2"}[http2] {
				t.Errorf("%s over %s: %+v", host, a.protocol, a.seen)
			}
		}
	}
	g.Ports(plainHTTP(80, host("www.example.com", to(exact))))
	c := client{t: t, address: g.Address(80)}
	g.answered(c, "http://example.org/", http.StatusNotFound)
	g.from(c, "http://www.example.com/", "exact")
}

// TestForwarded: backends learn of the client what the connection says, behind what the client claims.
func TestForwarded(t *testing.T) {
	g := Start(t)
	sp := g.Backend("app", nil, at(app(t, "app", nil)))
	certs := newPKI()
	g.Ports(plainHTTP(80, host("", to(sp))),
		mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{https("", certs.secret("c", "example.com"), host("", to(sp)))}})
	for _, http2 := range []bool{false, true} {
		plain := client{t: t, address: g.Address(80), http2: http2, header: http.Header{}}
		a := g.from(plain, "http://example.com/", "app")
		if got := a.seen.Headers; got.Get("X-Forwarded-For") != "127.0.0.1" || got.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("headers %v", got)
		}
		plain.header = http.Header{"X-Forwarded-For": {"192.0.2.1, 192.0.2.2", "192.0.2.3"}, "X-Forwarded-Proto": {"https"}}
		a = g.from(plain, "http://example.com/", "app")
		if got := a.seen.Headers; strings.Join(got["X-Forwarded-For"], "|") != "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1" ||
			strings.Join(got["X-Forwarded-Proto"], "|") != "http" {
			t.Errorf("headers %v", got)
		}
		secure := client{t: t, address: g.Address(443), tls: trusts(certs), http2: http2}
		a = g.from(secure, "https://example.com/", "app")
		if got := a.seen.Headers; got.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("headers %v", got)
		}
	}
}

// TestNormalPath: a route decides by the path that a backend will make of it.
func TestNormalPath(t *testing.T) {
	g := Start(t)
	public := g.Backend("public", nil, at(app(t, "public", nil)))
	rest := g.Backend("rest", nil, at(app(t, "rest", nil)))
	table := &mesh.RouteTable{Entries: append(to(public).Entries, to(rest).Entries...)}
	table.Entries[0].Match.Path = mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/public"}
	g.Ports(plainHTTP(80, host("", table)))
	for _, http2 := range []bool{false, true} {
		c := client{t: t, address: g.Address(80), http2: http2}
		if a := g.from(c, "http://example.com/public/./a", "public"); a.seen.Path != "/public/a" {
			t.Errorf("path %q", a.seen.Path)
		}
		if a := g.from(c, "http://example.com/public/%2e%2e/admin", "rest"); a.seen.Path != "/admin" {
			t.Errorf("path %q", a.seen.Path)
		}
	}
}

// TestRedirect: what a redirect does not say is that of the request, and of the port that it came to.
func TestRedirect(t *testing.T) {
	g := Start(t)
	certs := newPKI()
	keep := does(mesh.Rule{Filters: mesh.Filters{Redirect: &mesh.Redirect{Hostname: "example.org", Status: 302}}})
	g.Ports(plainHTTP(8080, host("", keep)),
		mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{https("", certs.secret("c", "example.com"), host("", keep))}})
	for _, http2 := range []bool{false, true} {
		a := g.answered(client{t: t, address: g.Address(8080), http2: http2}, "http://example.com/a", 302)
		if got := a.header.Get("Location"); got != "http://example.org:8080/a" {
			t.Errorf("to %q", got)
		}
		a = g.answered(client{t: t, address: g.Address(443), tls: trusts(certs), http2: http2}, "https://example.com/a", 302)
		if got := a.header.Get("Location"); got != "https://example.org/a" {
			t.Errorf("to %q", got)
		}
	}
}

// TestTelemetry: what a gateway does is told under its own word, with the client's address.
func TestTelemetry(t *testing.T) {
	g := Start(t)
	sp := g.Backend("app", nil, at(app(t, "app", nil)))
	g.Ports(plainHTTP(80, host("", to(sp))))
	g.from(client{t: t, address: g.Address(80)}, "http://example.com/", "app")
	g.Eventually("the access log has the request", func() bool {
		return strings.Contains(g.Log.String(), `"direction":"gateway"`) && strings.Contains(g.Log.String(), `"client":"127.0.0.1:`)
	})
	a := g.answered(client{t: t, address: g.Health.String()}, "http://health/metrics", 200)
	for _, want := range []string{
		`leno_requests_total{code="200",destination="unknown",direction="gateway"`, `service="edge/gw:80"`, `leno_connections_opened_total{direction="gateway"}`,
		`route="HTTPRoute shop/route 0"`, `source="edge/gw"`,
	} {
		if !strings.Contains(a.text, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// TestBadBackend: the share of a backend that is not there is answered 500.
func TestBadBackend(t *testing.T) {
	g := Start(t)
	sp := g.Backend("app", nil, at(app(t, "app", nil)))
	table := to(sp, sp)
	table.Entries[0].Rule.Backends[1].Fail = &mesh.Failure{Status: 500, Reason: "BackendNotFound"}
	g.Ports(plainHTTP(80, host("", table)))
	c := client{t: t, address: g.Address(80)}
	g.answered(c, "http://example.com/", 500)
	g.from(c, "http://example.com/", "app")
}
