package xds_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
)

var (
	gateway   = mesh.Name{Namespace: "edge", Name: "gw"}
	gwPod     = mesh.Name{Namespace: "edge", Name: "gw-1"}
	otherName = mesh.Name{Namespace: "edge", Name: "other"}
	otherPod  = mesh.Name{Namespace: "edge", Name: "other-1"}
)

func newCertificate(t *testing.T, name string) *mesh.Certificate {
	t.Helper()
	ca, err := devca.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server(time.Hour, "www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := devca.PEM(pair)
	if err != nil {
		t.Fatal(err)
	}
	return &mesh.Certificate{
		Name:  mesh.Name{Namespace: "edge", Name: name},
		Chain: chain,
		Key:   key,
	}
}

// edge is the shop with a gateway of every kind of listener, and another one.
func edge(t *testing.T) *mesh.Mesh {
	m := shop()
	cartPort := mesh.ServicePort{Name: cart, Port: 80}
	table := &mesh.RouteTable{Entries: []mesh.Entry{{Rule: &mesh.Rule{Backends: []mesh.Backend{{Service: cartPort, Weight: 1}}}}}}
	from := mesh.Origin{Kind: "Gateway", Namespace: "edge", Name: "gw"}
	route := mesh.Origin{Kind: "TLSRoute", Namespace: "shop", Name: "r"}
	split := func(backends ...mesh.SplitBackend) *mesh.Split { return &mesh.Split{Origin: route, Backends: backends} }
	good := mesh.SplitBackend{Service: cartPort, Weight: 3}
	none := mesh.SplitBackend{Service: cartPort}
	bad := mesh.SplitBackend{Service: cartPort, Weight: 1, Fail: &mesh.Failure{Status: 500}}
	one := newCertificate(t, "one")
	m.Gateways = map[mesh.Name]*mesh.Gateway{
		gateway: {Name: gateway, Origin: from, ClientCertificate: newCertificate(t, "client"), Ports: []mesh.GatewayPort{
			{Number: 80, Listeners: []*mesh.Listener{
				{Protocol: mesh.ListenerHTTP, Hostname: "www.example.com", Hosts: []mesh.Host{{Name: "www.example.com", Routes: table}}},
				{Protocol: mesh.ListenerHTTP, Hosts: []mesh.Host{{Name: "*.example.com", Routes: table}, {Routes: &mesh.RouteTable{}}}},
			}},
			{Number: 443, Listeners: []*mesh.Listener{
				{
					Protocol: mesh.ListenerHTTPS, Hostname: "www.example.com", Origin: from, Hosts: []mesh.Host{{Name: "www.example.com", Routes: table}},
					TLS: &mesh.Termination{Certificates: []*mesh.Certificate{one, newCertificate(t, "two")}, Clients: &mesh.ClientValidation{Roots: one.Chain}},
				},
				{Protocol: mesh.ListenerTLS, Hostname: "*.pass.test", Origin: from, Servers: []mesh.Server{{Name: "a.pass.test", Split: split(good, none)}}},
				{
					Protocol: mesh.ListenerTLS, Origin: from, TLS: &mesh.Termination{Certificates: []*mesh.Certificate{one}, Clients: &mesh.ClientValidation{Fallback: true}},
					Servers: []mesh.Server{{Split: split(good, bad)}},
				},
			}},
			{Number: 9000, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerTCP, Split: split(good, bad)}}},
			{Number: 9001, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerTCP}}},
			{Number: 53, UDP: true, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerUDP, Split: split(bad, good)}}},
			{Number: 54, UDP: true, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerUDP}}},
		}},
		otherName: {Name: otherName, Ports: []mesh.GatewayPort{{Number: 80, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerHTTP}}}}},
	}
	for pod, of := range map[mesh.Name]mesh.Name{gwPod: gateway, otherPod: otherName} {
		m.Workloads[pod] = &mesh.Workload{Name: pod, Gateway: of, Owner: of.Name}
	}
	return m
}

func TestGatewayListeners(t *testing.T) {
	m := edge(t)
	names := xds.GatewayListeners(m, gwPod)
	want := []string{"gateway/80", "gateway/443", "gateway/9000", "gateway/9001", "udp/[::]:53", "udp/[::]:54"}
	if !slices.Equal(names, want) || xds.GatewayListeners(m, web) != nil {
		t.Errorf("names %v, and %v for a sidecar", names, xds.GatewayListeners(m, web))
	}
	ports := map[string]*config.Port{}
	for _, name := range names {
		r := ask(t, m, gwPod, xds.ListenerType, name)
		if r.Datagram != nil {
			for _, cluster := range r.Datagram.References() {
				ask(t, m, gwPod, xds.ClusterType, cluster)
			}
			continue
		}
		ports[name] = r.Port
		for _, table := range r.Port.Tables() {
			ask(t, m, gwPod, xds.RouteType, table)
		}
		for _, secret := range r.Port.Secrets() {
			ask(t, m, gwPod, xds.SecretType, secret)
		}
	}
	from, route := config.Origin{Kind: "Gateway", Namespace: "edge", Name: "gw"}, config.Origin{Kind: "TLSRoute", Namespace: "shop", Name: "r"}
	shares, fails := []config.Share{{Cluster: "shop/cart:80", Weight: 3}, {Weight: 1}}, []config.Share{{Weight: 1}}
	diff(t, ports["gateway/80"], &config.Port{Name: "gateway/80", Number: 80, Plain: &config.Listener{
		Name: "gateway/80", Origin: from, Protocol: config.HTTP, Routes: "gateway/edge/gw:80", Service: "edge/gw:80", Edge: true,
	}})
	listener := func(o config.Origin, protocol config.Protocol, shares []config.Share) *config.Listener {
		return &config.Listener{Name: "gateway/443", Origin: o, Protocol: protocol, Shares: shares, Service: "edge/gw:443"}
	}
	diff(t, ports["gateway/443"], &config.Port{Name: "gateway/443", Number: 443, Chains: []config.Chain{
		{
			Names: []string{"www.example.com"},
			TLS: &config.Termination{
				Certificates: []string{"certificate/edge/one", "certificate/edge/two"}, Clients: "client-roots/443/www.example.com", ALPN: []string{"h2", "http/1.1"},
			},
			Listener: &config.Listener{Name: "gateway/443", Origin: from, Protocol: config.HTTP, Routes: "gateway/edge/gw:443/www.example.com", Service: "edge/gw:443", Edge: true},
		},
		{Names: []string{"a.pass.test"}, Listener: listener(route, config.TLS, []config.Share{{Cluster: "shop/cart:80", Weight: 1}})},
		{Names: []string{"*.pass.test"}, Listener: listener(from, config.TLS, fails)},
		{TLS: &config.Termination{Certificates: []string{"certificate/edge/one"}, Clients: "client-roots/443/*", Fallback: true}, Listener: listener(route, config.TCP, shares)},
	}})
	diff(t, ports["gateway/9000"].Plain.Shares, shares)
	diff(t, ports["gateway/9001"].Plain.Shares, fails)
	diff(t, ask(t, m, gwPod, xds.ListenerType, "udp/[::]:53").Datagram.Shares, []config.Share{{Weight: 1}, {Cluster: "shop/cart:80", Weight: 3}})
	diff(t, ask(t, m, gwPod, xds.ListenerType, "udp/[::]:54").Datagram.Shares, fails)
	table := ask(t, m, gwPod, xds.RouteType, "gateway/edge/gw:80").Routes
	diff(t, table.Hosts, []config.Host{{Names: []string{"www.example.com"}, Entries: 1}, {Names: []string{"*.example.com"}, Entries: 1}, {Names: []string{"*"}}})
}

// TestGatewaysKeepToThemselves: nobody gets what belongs to another gateway, secrets above all.
func TestGatewaysKeepToThemselves(t *testing.T) {
	m := edge(t)
	for typeURL, names := range map[string][]string{
		xds.SecretType:   {"certificate/edge/one", "certificate/edge/client", "client-roots/443/www.example.com", "certificate/edge/unheard-of"},
		xds.ListenerType: {"gateway/443", "udp/[::]:53"},
		xds.RouteType:    {"gateway/edge/gw:80", "gateway/edge/gw:443/www.example.com"},
	} {
		for _, name := range names {
			for _, who := range []mesh.Name{web, otherPod, {Namespace: "edge", Name: "unheard-of"}} {
				if _, err := xds.Translate(m, who, typeURL, name); !errors.Is(err, xds.ErrUnknown) {
					t.Errorf("%s gets %s: %v", who, name, err)
				}
			}
			if a, b := xds.Scope(m, gwPod, typeURL, name), xds.Scope(m, otherPod, typeURL, name); a == b || a == "" {
				t.Errorf("%s has the scopes %q and %q", name, a, b)
			}
		}
	}
}

// TestRenewalTouchesItsSecretAlone, and shows in no text.
func TestRenewalTouchesItsSecretAlone(t *testing.T) {
	m := edge(t)
	next := *m
	renewed := *m.Gateways[gateway]
	next.Gateways = map[mesh.Name]*mesh.Gateway{gateway: &renewed}
	certificate := newCertificate(t, "client")
	renewed.ClientCertificate = certificate
	for _, r := range []struct{ typeURL, name string }{
		{xds.ListenerType, "gateway/443"}, {xds.RouteType, "gateway/edge/gw:80"}, {xds.ClusterType, "shop/cart:80"},
		{xds.SecretType, "certificate/edge/one"}, {xds.SecretType, "certificate/edge/client"},
	} {
		before, err := xds.Translate(m, gwPod, r.typeURL, r.name)
		if err != nil {
			t.Fatal(err)
		}
		after, err := xds.Translate(&next, gwPod, r.typeURL, r.name)
		if err != nil {
			t.Fatal(err)
		}
		if changed := before.Version != after.Version; changed != (r.name == "certificate/edge/client") {
			t.Errorf("%s changed: %v", r.name, changed)
		}
		if scope := xds.Scope(m, gwPod, r.typeURL, r.name); scope != "" {
			if xds.Unchanged(m, &next, r.typeURL, r.name, scope) || !xds.Unchanged(m, m, r.typeURL, r.name, scope) {
				t.Errorf("%s counts as unchanged, or not where the gateway is the same", r.name)
			}
		}
	}
}

// TestBackendTLS: a port's own TLS is for gateways alone.
func TestBackendTLS(t *testing.T) {
	m := edge(t)
	name := xds.ClusterName(mesh.ServicePort{Name: cart, Port: 80})
	roots := newCertificate(t, "roots").Chain
	decoded := func(who mesh.Name, how mesh.BackendTLS) *config.Cluster {
		m.Services[cart].Ports[0].TLS = &how
		return ask(t, m, who, xds.ClusterType, name).Cluster
	}
	how := mesh.BackendTLS{Hostname: "cart.test", Roots: roots}
	if c := decoded(web, how); c.TLS != nil || c.HTTP != config.SameHTTP {
		t.Errorf("a sidecar gets %+v", c)
	}
	if xds.Scope(m, web, xds.ClusterType, name) != "" || !strings.Contains(xds.Scope(m, gwPod, xds.ClusterType, name), "edge/gw") {
		t.Error("the scope is not that of the gateway")
	}
	c := decoded(gwPod, how)
	if c.HTTP != config.HTTP1Only || c.TLS.ServerName != "cart.test" || c.TLS.Certificate != "certificate/edge/client" || c.TLS.System || c.TLS.Roots() == nil {
		t.Errorf("%+v", c.TLS)
	}
	diff(t, c.TLS.SANs, []config.SAN{{DNS: "cart.test"}})
	c = decoded(otherPod, mesh.BackendTLS{Hostname: "cart.test", SANs: []mesh.SAN{{URI: "spiffe://a/b"}, {DNS: "*.test"}}})
	if !c.TLS.System || c.TLS.Certificate != "" {
		t.Errorf("%+v", c.TLS)
	}
	diff(t, c.TLS.SANs, []config.SAN{{URI: "spiffe://a/b"}, {DNS: "*.test"}})
	c = decoded(gwPod, mesh.BackendTLS{Hostname: "cart.test", Roots: roots, Fail: &mesh.Failure{Status: 500, Reason: "Invalid"}})
	diff(t, c.Fail, &config.Failure{Status: 500, Reason: "Invalid"})
	m.Services[cart].Ports[0].Protocol = mesh.ProtocolHTTP2
	if c := decoded(gwPod, how); c.HTTP != config.HTTP2Only {
		t.Errorf("%+v", c)
	}
}
