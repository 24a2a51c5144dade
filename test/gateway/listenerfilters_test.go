package gateway

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

// decider is an authorization server over HTTP: it refuses paths that name it, sets the tenant that the client asks for, and keeps what
// it was asked.
type decider struct {
	name string
	mu   sync.Mutex // guards seen
	seen []string
}

func (d *decider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.seen = append(d.seen, r.URL.Path+" "+r.Header.Get("X-Tenant"))
	d.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/deny-"+d.name):
		w.Header().Set("X-Denied-By", d.name)
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "not you")
		return
	case r.Header.Get("X-Ask") != "":
		w.Header().Set("X-Tenant", r.Header.Get("X-Ask"))
	}
	w.Header().Set("Host", "other.example.com")
	w.Header().Set("X-By-"+d.name, r.Header.Get("X-Tenant"))
}

// last is what it was asked since it was asked for that last.
func (d *decider) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.Join(d.seen, ", ")
	d.seen = nil
	return text
}

func (d *decider) start(t *testing.T) net.Addr {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	s := &http.Server{Handler: d, ReadHeaderTimeout: patience}
	t.Cleanup(func() { _ = s.Close() })
	go func() { _ = s.Serve(listener) }()
	return listener.Addr()
}

// filtered is a host whose listener asks servers, the first one with more headers than those that always are.
func filtered(name string, routes *mesh.RouteTable, servers ...mesh.ServicePort) mesh.Host {
	h := host(name, routes)
	for i, sp := range servers {
		f := &mesh.ExternalAuth{Server: sp, RequestHeaders: []string{"x-tenant"}}
		if i == 0 {
			f.RequestHeaders = []string{"x-ask", "x-tenant"}
		}
		h.Filters = append(h.Filters, f)
	}
	return h
}

// filtering is a gateway whose listeners for names of example.com ask two servers, and a third one by a rule.
type filtering struct {
	*Gateway
	certs              pki
	first, second, own *decider
}

func startFiltering(t *testing.T) *filtering {
	g := &filtering{Start(t), newPKI(), &decider{name: "first"}, &decider{name: "second"}, &decider{name: "own"}}
	blue := g.Backend("blue", nil, at(app(t, "blue", nil)))
	rest := g.Backend("rest", nil, at(app(t, "rest", nil)))
	own := g.Backend("own", nil, at(g.own.start(t)))
	servers := []mesh.ServicePort{g.Backend("first", nil, at(g.first.start(t))), g.Backend("second", nil, at(g.second.start(t)))}
	under := func(path string, table *mesh.RouteTable) mesh.Entry {
		e := table.Entries[0]
		e.Match.Path = mesh.PathMatch{Kind: mesh.PathPrefix, Value: path}
		return e
	}
	byTenant := under("/", to(blue))
	byTenant.Match.Headers = []mesh.ValueMatch{{Name: "x-tenant", Value: "blue"}}
	byTenant.Rule.Filters.ExternalAuth = &mesh.ExternalAuth{Server: own}
	moved := does(mesh.Rule{Filters: mesh.Filters{Redirect: &mesh.Redirect{Hostname: "example.org", Status: 302}}})
	table := &mesh.RouteTable{Entries: []mesh.Entry{byTenant, under("/moved", moved), under("/known", to(rest))}}
	hosts := []mesh.Host{
		filtered("www.example.com", table, servers...), filtered("*.example.com", &mesh.RouteTable{}, servers...), host("", to(rest)),
	}
	secret := g.certs.secret("c", "*.example.com")
	g.Ports(plainHTTP(80, hosts...), mesh.GatewayPort{Number: 443, Listeners: []*mesh.Listener{https("", secret, hosts...)}})
	return g
}

// TestListenerFilters (GEP-5224): a listener asks about each of its requests, in order and before its routes are matched.
func TestListenerFilters(t *testing.T) {
	g := startFiltering(t)
	cases := []struct {
		what, url, tenant string
		status            int
		app, denied       string   // who answers
		asked             []string // what each server is asked, with the tenant that it sees
	}{
		{"routes match what a server sets, and a rule asks for itself", "www.example.com/any", "blue", 200, "blue", "", []string{"/any ", "/any blue", "/any "}},
		{"another tenant", "www.example.com/known", "green", 200, "rest", "", []string{"/known ", "/known green", ""}},
		{"the rule's refuses", "www.example.com/deny-own", "blue", 403, "", "own", []string{"/deny-own ", "/deny-own blue", "/deny-own "}},
		{"the second refuses", "www.example.com/known/deny-second", "", 403, "", "second", []string{"/known/deny-second ", "/known/deny-second ", ""}},
		{"the first refuses", "www.example.com/known/deny-first", "", 403, "", "first", []string{"/known/deny-first ", "", ""}},
		{"a redirect", "www.example.com/moved", "", 302, "", "", []string{"/moved ", "/moved ", ""}},
		{"no redirect", "www.example.com/moved/deny-first", "", 403, "", "first", []string{"/moved/deny-first ", "", ""}},
		{"no route", "www.example.com/unknown", "", 404, "", "", []string{"/unknown ", "/unknown ", ""}},
		{"nobody is told so", "www.example.com/unknown/deny-second", "", 403, "", "second", []string{"/unknown/deny-second ", "/unknown/deny-second ", ""}},
		{"a host without routes", "a.example.com/deny-first", "", 403, "", "first", []string{"/deny-first ", "", ""}},
		{"another listener", "example.org/deny-first", "", 200, "rest", "", []string{"", "", ""}},
	}
	for _, http2 := range []bool{false, true} {
		for scheme, port := range map[string]uint16{"http": 80, "https": 443} {
			c := client{t: t, address: g.Address(port), http2: http2, header: http.Header{"X-Tenant": {"blue"}, "X-Ask": {"green"}}}
			if scheme == "https" {
				c.tls = &tls.Config{RootCAs: g.certs.pool(), ServerName: "www.example.com"} // whatever host is asked for
			}
			g.from(c, scheme+"://www.example.com/known", "rest") // what the client claims is no tenant
			for _, d := range []*decider{g.first, g.second, g.own} {
				d.last()
			}
			for _, tc := range cases {
				c.header = http.Header{"X-Ask": {tc.tenant}}
				a := must(c.get(scheme + "://" + tc.url))
				asked := []string{g.first.last(), g.second.last(), g.own.last()}
				if a.status != tc.status || a.seen.App != tc.app || a.header.Get("X-Denied-By") != tc.denied || !slices.Equal(asked, tc.asked) {
					t.Errorf("HTTP/2 %v, %s, %s: status %d, %q, %+v; asked %q", http2, scheme, tc.what, a.status, a.text, a.header, asked)
				}
				if by := a.seen.Headers.Get("X-By-Second"); a.seen.App != "" && (by != tc.tenant || a.seen.Host+a.seen.Path != tc.url) {
					t.Errorf("HTTP/2 %v, %s, %s: the backend got %+v", http2, scheme, tc.what, a.seen)
				}
			}
		}
	}
}

// TestListenerFiltersThatDoNotDecide: nobody is let in then, and the next ones are not asked.
func TestListenerFiltersThatDoNotDecide(t *testing.T) {
	g := Start(t)
	behind := &decider{name: "behind"}
	rest := g.Backend("rest", nil, at(app(t, "rest", nil)))
	nobody := g.Backend("nobody", nil)
	server := g.Backend("behind", nil, at(behind.start(t)))
	g.Ports(plainHTTP(80, filtered("", to(rest), nobody, server)))
	for _, http2 := range []bool{false, true} {
		c := client{t: t, address: g.Address(80), http2: http2}
		if a := g.answered(c, "http://example.com/", 503); !strings.Contains(a.text, "has not decided") || behind.last() != "" {
			t.Errorf("%q, and another server was asked", a.text)
		}
	}
	g.Change(func(m *mesh.Mesh, _ *mesh.Gateway) { m.Endpoints[nobody] = m.Endpoints[server] })
	g.from(client{t: t, address: g.Address(80)}, "http://example.com/", "rest")
}
