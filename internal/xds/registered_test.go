package xds_test

import (
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
)

// outside is a mesh whose namespace shop registers hosts.
func outside() *mesh.Mesh {
	m := shop()
	m.XBackends, m.Registered = map[mesh.Name]*mesh.Service{}, map[mesh.Registry][]mesh.ServicePort{}
	for _, host := range []string{"api.example.com", "mail.example.com"} {
		name := mesh.Name{Namespace: "shop", Name: host[:3]}
		m.XBackends[name] = &mesh.Service{
			Name: name, Origin: mesh.Origin{Kind: "XBackend", Namespace: "shop", Name: name.Name},
			Ports: []mesh.Port{{Number: 443, Hostname: host}},
		}
		at := mesh.Registry{Namespace: "shop", Port: 443}
		m.Registered[at] = append(m.Registered[at], mesh.ServicePort{Name: name, Port: 443, XBackend: true})
	}
	return m
}

// TestRegisteredHosts: a sidecar's listener for unknown addresses knows the hosts of its own namespace at that port, by name.
func TestRegisteredHosts(t *testing.T) {
	m := outside()
	rule := func(name, host, cluster string) config.SNIRule {
		return config.SNIRule{
			Origin: config.Origin{Kind: "XBackend", Namespace: "shop", Name: name}, Names: []string{host}, Shares: []config.Share{{Cluster: cluster, Weight: 1}},
		}
	}
	want := &config.Listener{
		Name: "outbound/0.0.0.0:443", Origin: config.Origin{Kind: "Mesh", Name: "default", Generation: 3}, ByName: true, Routes: "outbound/shop/*:443",
		SNI: []config.SNIRule{rule("api", "api.example.com", "shop/api:443/xbackend"), rule("mai", "mail.example.com", "shop/mai:443/xbackend")},
	}
	diff(t, ask(t, m, web, xds.ListenerType, want.Name).Listener, want)
	table := ask(t, m, web, xds.RouteType, want.Routes).Routes
	diff(t, table.Hosts, []config.Host{{Names: []string{"api.example.com"}, Entries: 1}, {Names: []string{"mail.example.com"}, Entries: 1}})
	diff(t, table.References(), want.References())
	for _, name := range want.References() {
		if ask(t, m, web, xds.ClusterType, name).Cluster.DNS == nil {
			t.Errorf("%s does not go by its name", name)
		}
	}
	for _, r := range []struct{ typeURL, name string }{{xds.ListenerType, want.Name}, {xds.RouteType, want.Routes}} {
		for _, who := range []mesh.Name{{Namespace: "billing", Name: "any"}, {Namespace: "shop/*:443", Name: "any"}} {
			if xds.Message(m, who, r.typeURL, r.name) != nil {
				t.Errorf("%s gets %s", who, r.name)
			}
		}
		if scope := xds.Scope(m, web, r.typeURL, r.name); scope != "shop" {
			t.Errorf("%s is for %q", r.name, scope)
		}
	}
	for typeURL, names := range map[string][]string{
		xds.ListenerType: {"outbound/0.0.0.0:80", "outbound/[::]:443", "refused/192.0.2.1:443/api.example.com"},
		xds.RouteType:    {"outbound/shop/*:80", "outbound/shop/*:0443", "outbound//*:443"},
	} {
		for _, name := range names {
			if xds.Message(m, web, typeURL, name) != nil {
				t.Errorf("%s exists", name)
			}
		}
	}
}

// TestRegisteredHostsStay: where only endpoints changed, and nothing of the registry, nothing is translated again.
func TestRegisteredHostsStay(t *testing.T) {
	old := outside()
	at := mesh.Registry{Namespace: "shop", Port: 443}
	change := func(edit func(*mesh.Mesh)) *mesh.Mesh {
		next := *old
		edit(&next)
		return &next
	}
	api := mesh.Name{Namespace: "shop", Name: "api"}
	for what, tc := range map[string]struct {
		next *mesh.Mesh
		same bool
	}{
		"endpoints": {change(func(m *mesh.Mesh) { m.Endpoints = nil }), true},
		"settings":  {change(func(m *mesh.Mesh) { m.Settings.Origin.Generation++ }), false},
		"the list": {change(func(m *mesh.Mesh) {
			m.Registered = map[mesh.Registry][]mesh.ServicePort{at: append([]mesh.ServicePort(nil), old.Registered[at]...)}
		}), false},
		"an XBackend": {change(func(m *mesh.Mesh) {
			service := *old.XBackends[api]
			m.XBackends = map[mesh.Name]*mesh.Service{api: &service, {Namespace: "shop", Name: "mai"}: old.XBackends[mesh.Name{Namespace: "shop", Name: "mai"}]}
		}), false},
		"all of it": {change(func(m *mesh.Mesh) { m.Registered = nil }), false},
	} {
		for _, r := range []struct{ typeURL, name string }{{xds.ListenerType, "outbound/0.0.0.0:443"}, {xds.RouteType, "outbound/shop/*:443"}} {
			if got := xds.Unchanged(old, tc.next, r.typeURL, r.name, "shop"); got != tc.same {
				t.Errorf("%s: %s is unchanged: %t", what, r.name, got)
			}
		}
	}
}

func TestRefusedNames(t *testing.T) {
	for _, name := range []string{"refused/192.0.2.1:443/api.example.com", "refused/[2001:db8::1]:80/"} {
		if dst, host, ok := xds.ParseRefusedName(name); !ok || xds.RefusedName(dst, host) != name || config.RefusedName(dst, host) != name {
			t.Errorf("%s: %v %q %t", name, dst, host, ok)
		}
	}
	for _, name := range []string{"", "refused/", "refused/192.0.2.1:443", "refused/192.0.2.1:443/A.example", "refused/192.0.2.1:443/a b", "refused/192.0.2.1/a", "outbound/192.0.2.1:443"} {
		if dst, host, ok := xds.ParseRefusedName(name); ok {
			t.Errorf("%s is %v %q", name, dst, host)
		}
	}
}
