package proxy_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

// staying is a pod whose cart service has endpoints that say who they are, and one rule that keeps sessions.
func staying(t *testing.T, version config.HTTPVersion, p *config.Persistence, endpoints ...config.Endpoint) *pod {
	t.Helper()
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, endpoints...)
	web.control.change(func(c *config.Config) {
		for _, cluster := range c.Clusters {
			cluster.HTTP = version
		}
	})
	p.Key = config.SessionKey{1}
	web.routes(cartService, []config.Entry{{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: &config.Action{
		Persistence: p, Backends: []config.Backend{{Cluster: cartService.String(), Weight: 1}},
	}}})
	return web
}

// at makes endpoints all that the cart service has.
func at(web *pod, endpoints ...config.Endpoint) {
	web.control.change(func(c *config.Config) {
		cluster := *c.Clusters[cartService.String()]
		cluster.Endpoints = endpoints
		c.Clusters = map[string]*config.Cluster{cartService.String(): &cluster}
	})
}

// named is an endpoint whose application answers with its name, and sets a cookie of its own.
func named(t *testing.T, name string) config.Endpoint {
	at := app2(t, func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "own", Value: name})
		_, _ = fmt.Fprint(w, name)
	})
	return config.Endpoint{Address: at, Workload: config.Workload{Namespace: "shop", Name: "cart", Pod: name}}
}

// eachVersion runs a test between both versions of HTTP on either side.
func eachVersion(t *testing.T, test func(t *testing.T, version config.HTTPVersion, client func(*pod, netip.AddrPort) *http.Client)) {
	for _, version := range []config.HTTPVersion{config.HTTP1Only, config.HTTP2Only} {
		for name, client := range map[string]func(*pod, netip.AddrPort) *http.Client{"HTTP/1.1": client1, "HTTP/2": client2} {
			to := map[config.HTTPVersion]string{config.HTTP1Only: "HTTP/1.1", config.HTTP2Only: "HTTP/2"}[version]
			t.Run(name+" to "+to, func(t *testing.T) { test(t, version, client) })
		}
	}
}

// A session begins with the first answer, keeps its client at the endpoint, and begins anew where that is gone (GEP-1619).
func TestPersistence(t *testing.T) {
	eachVersion(t, func(t *testing.T, version config.HTTPVersion, client func(*pod, netip.AddrPort) *http.Client) {
		one, two := named(t, "one"), named(t, "two")
		web := staying(t, version, &config.Persistence{Cookie: "place", Path: "/"}, one, two)
		c := client(web, cartService)
		ask := func(cookie string) (name, begun string) {
			t.Helper()
			r := request(t, "GET", "/", nil)
			if cookie != "" {
				r.Header.Set("Cookie", "a=b; "+cookie)
			}
			resp, body := do(t, c, r)
			for _, set := range resp.Cookies() {
				if set.Name == "place" {
					begun = "place=" + set.Value
				}
			}
			if resp.StatusCode != 200 || !strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "own="+string(body)) {
				t.Fatalf("%d %q %v", resp.StatusCode, body, resp.Header)
			}
			return string(body), begun
		}
		home, session := ask("")
		if session == "" {
			t.Fatal("no session has begun")
		}
		for range 20 {
			if name, begun := ask(session); name != home || begun != "" {
				t.Fatalf("a session at %s went to %s, and began there: %q", home, name, begun)
			}
		}
		seen := map[string]bool{}
		for range 40 {
			name, begun := ask("")
			if seen[name] = true; begun == "" {
				t.Fatal("a request without a session begins none")
			}
		}
		if len(seen) != 2 {
			t.Errorf("requests without a session all went to %v", seen)
		}
		left := two
		if home == "two" {
			left = one
		}
		at(web, left)
		if name, begun := ask(session); name != left.Workload.Pod || begun == "" || begun == session {
			t.Errorf("with its endpoint gone, the session went to %s: %q", name, begun)
		}
	})
}

// Where a client does not show its cookie, a rule's requests are on their own: they begin no session, not even one of their backend, that
// would take the place of the one at the cookie's path.
func TestPersistenceElsewhere(t *testing.T) {
	eachVersion(t, func(t *testing.T, version config.HTTPVersion, client func(*pod, netip.AddrPort) *http.Client) {
		web := staying(t, version, &config.Persistence{Cookie: "place", Path: "/shop"}, named(t, "one"))
		web.control.change(func(c *config.Config) {
			for _, cluster := range c.Clusters {
				cluster.Persistence = &config.Persistence{Cookie: "backend", Path: "/", Key: config.SessionKey{2}}
			}
		})
		c := client(web, cartService)
		for path, want := range map[string]string{"/": "[own]", "/shops": "[own]", "/shop": "[own place]", "/shop/a?b": "[own place]"} {
			resp, _ := do(t, c, request(t, "GET", path, nil))
			names := []string{}
			for _, set := range resp.Cookies() {
				names = append(names, set.Name)
			}
			if fmt.Sprint(names) != want {
				t.Errorf("%s: cookies %v, want %s", path, names, want)
			}
		}
	})
}

// An endpoint that takes no connections loses its sessions to others.
func TestPersistenceWithDeadEndpoint(t *testing.T) {
	eachVersion(t, func(t *testing.T, version config.HTTPVersion, client func(*pod, netip.AddrPort) *http.Client) {
		closed := must(net.Listen("tcp", "127.0.0.1:0"))
		dead := config.Endpoint{Address: closed.Addr().(*net.TCPAddr).AddrPort(), Workload: config.Workload{Namespace: "shop", Name: "cart", Pod: "dead"}}
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "dead") })}
		go func() { _ = server.Serve(closed) }()
		p := &config.Persistence{Header: "x-place"}
		web := staying(t, version, p, dead)
		c := client(web, cartService)
		resp, body := do(t, c, request(t, "GET", "/", nil))
		session := resp.Header.Get("X-Place")
		if string(body) != "dead" || session == "" {
			t.Fatalf("%q, %q", body, session)
		}
		_ = server.Close()
		at(web, dead, named(t, "alive"))
		r := request(t, "GET", "/", nil)
		r.Header.Set("X-Place", session)
		resp, body = do(t, c, r)
		if string(body) != "alive" || resp.Header.Get("X-Place") == "" || resp.Header.Get("X-Place") == session {
			t.Errorf("%q, session %q", body, resp.Header.Get("X-Place"))
		}
	})
}
