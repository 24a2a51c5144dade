package xds_test

import (
	"net/netip"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	cart   = mesh.Name{Namespace: "shop", Name: "cart"}
	cartV2 = mesh.Name{Namespace: "shop", Name: "cart-v2"}
	web    = mesh.Name{Namespace: "shop", Name: "web-1"}
	pod1   = mesh.Name{Namespace: "shop", Name: "cart-1"}
)

const cartID = "spiffe://cluster.local/ns/shop/sa/cart"

// shop is a small mesh: a service with routes, one without, an opaque one, and two pods.
func shop(rules ...mesh.Entry) *mesh.Mesh {
	origin := func(kind string, n mesh.Name) mesh.Origin {
		return mesh.Origin{Kind: kind, Namespace: n.Namespace, Name: n.Name}
	}
	service := func(n mesh.Name, vip string, ports ...mesh.Port) *mesh.Service {
		return &mesh.Service{Name: n, Origin: origin("Service", n), Addresses: []netip.Addr{netip.MustParseAddr(vip)}, Ports: ports}
	}
	var table *mesh.RouteTable
	if rules != nil {
		table = &mesh.RouteTable{Entries: rules}
	}
	db := mesh.Name{Namespace: "shop", Name: "db"}
	m := &mesh.Mesh{
		Settings: mesh.Settings{Origin: mesh.Origin{Kind: "Mesh", Name: "default", Generation: 3}, TrustDomain: "cluster.local", MTLS: mesh.MTLSPermissive, Outbound: mesh.OutboundRegistryOnly, AccessLog: true},
		Services: map[mesh.Name]*mesh.Service{
			cart:   service(cart, "10.96.0.10", mesh.Port{Number: 80, Protocol: mesh.ProtocolHTTP, Routes: table}, mesh.Port{Number: 81}),
			cartV2: service(cartV2, "10.96.0.11", mesh.Port{Number: 80, Protocol: mesh.ProtocolHTTP}),
			db:     service(db, "fd00::12", mesh.Port{Number: 5432, Protocol: mesh.ProtocolTCP}, mesh.Port{Number: 443, Protocol: mesh.ProtocolTLS}, mesh.Port{Number: 90, Protocol: mesh.ProtocolHTTP2}),
		},
		Workloads: map[mesh.Name]*mesh.Workload{
			pod1: {Name: pod1, Origin: origin("Pod", pod1), Identity: cartID, Injected: true, Owner: "cart", Zone: "a", Protocols: map[uint16]mesh.Protocol{8080: mesh.ProtocolHTTP, 9000: mesh.ProtocolTCP}},
			web:  {Name: web, Origin: origin("Pod", web), Identity: "spiffe://cluster.local/ns/shop/sa/web", Owner: "web"},
		},
		Frontends: map[netip.AddrPort]mesh.ServicePort{},
		WorkloadByIP: map[netip.Addr]mesh.Name{
			netip.MustParseAddr("10.244.0.7"): pod1,
			netip.MustParseAddr("10.244.0.8"): web,
		},
		Endpoints: map[mesh.ServicePort][]mesh.Endpoint{
			{Name: cart, Port: 80}: {
				{Address: addr("10.244.0.9:8080"), Ready: true, Serving: true, Zone: "b"},
				{Address: addr("10.244.0.7:8080"), Ready: true, Serving: true, Zone: "a", Workload: pod1, Identity: cartID},
				{Address: addr("10.244.0.6:8080"), Serving: true, Terminating: true},
			},
			{Name: cartV2, Port: 80}: {
				{Address: addr("10.244.0.20:8080"), Serving: true, Terminating: true},
				{Address: addr("10.244.0.21:8080")},
			},
		},
	}
	for n, s := range m.Services {
		for _, p := range s.Ports {
			m.Frontends[netip.AddrPortFrom(s.Addresses[0], p.Number)] = mesh.ServicePort{Name: n, Port: p.Number}
		}
	}
	return m
}

// ask translates a resource, validates it as Envoy would, and decodes it as our proxy does.
func ask(t *testing.T, m *mesh.Mesh, who mesh.Name, typeURL, name string) config.Resource {
	t.Helper()
	msg := xds.Message(m, who, typeURL, name)
	if msg == nil {
		t.Fatalf("%s %q is unknown", typeURL, name)
	}
	if v, ok := msg.(interface{ ValidateAll() error }); !ok {
		t.Fatalf("%T has no validation", msg)
	} else if err := v.ValidateAll(); err != nil {
		t.Errorf("%s: Envoy would refuse it: %v", name, err)
	}
	r, err := xds.Translate(m, who, typeURL, name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Decode(typeURL, name, r.Version, r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func diff(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestListeners(t *testing.T) {
	m := shop(mesh.Entry{Rule: &mesh.Rule{Backends: []mesh.Backend{{Service: mesh.ServicePort{Name: cart, Port: 80}, Weight: 1}}}})
	m.Services[cart].Ports[1].Consumer = map[string]*mesh.RouteTable{"shop": {}}
	service := func(name string) config.Origin {
		return config.Origin{Kind: "Service", Namespace: "shop", Name: name}
	}
	pod := config.Origin{Kind: "Pod", Namespace: "shop", Name: "cart-1"}
	for dst, want := range map[string]*config.Listener{
		"10.96.0.10:80":   {Origin: service("cart"), Protocol: config.HTTP, Routes: "shop/cart:80", Cluster: "shop/cart:80", Service: "shop/cart:80"},
		"10.96.0.10:81":   {Origin: service("cart"), Protocol: config.Detect, Routes: "shop/cart:81@shop", Cluster: "shop/cart:81", Service: "shop/cart:81"},
		"10.96.0.11:80":   {Origin: service("cart-v2"), Protocol: config.HTTP, Cluster: "shop/cart-v2:80", Service: "shop/cart-v2:80"},
		"[fd00::12]:5432": {Origin: service("db"), Protocol: config.TCP, Cluster: "shop/db:5432", Service: "shop/db:5432"},
		"[fd00::12]:443":  {Origin: service("db"), Protocol: config.TLS, Cluster: "shop/db:443", Service: "shop/db:443"},
		"[fd00::12]:90":   {Origin: service("db"), Protocol: config.HTTP2, Cluster: "shop/db:90", Service: "shop/db:90"},
		"10.244.0.7:8080": {Origin: pod, Protocol: config.HTTP, Cluster: "10.244.0.7:8080"},
		"10.244.0.7:1234": {Origin: pod, Protocol: config.Detect, Cluster: "10.244.0.7:1234"},
	} {
		t.Run(dst, func(t *testing.T) {
			want.Name = "outbound/" + dst
			diff(t, ask(t, m, web, xds.ListenerType, want.Name).Listener, want)
			crossReferences(t, m, web, want)
		})
	}
}

// crossReferences follows every name that a listener refers to.
func crossReferences(t *testing.T, m *mesh.Mesh, who mesh.Name, l *config.Listener) {
	t.Helper()
	clusters := []string{l.Cluster}
	if l.Routes != "" {
		clusters = append(clusters, ask(t, m, who, xds.RouteType, l.Routes).Routes.References()...)
	}
	for _, c := range clusters {
		ask(t, m, who, xds.ClusterType, c)
		ask(t, m, who, xds.EndpointType, c)
	}
}

func TestConsumerTableIsForItsNamespaceOnly(t *testing.T) {
	m := shop(mesh.Entry{Rule: &mesh.Rule{}})
	m.Services[cart].Ports[0].Consumer = map[string]*mesh.RouteTable{"blog": {}}
	const name = "outbound/10.96.0.10:80"
	for namespace, want := range map[string]struct{ routes, scope string }{
		"blog": {"shop/cart:80@blog", "blog"},
		"shop": {"shop/cart:80", ""},
	} {
		who := mesh.Name{Namespace: namespace, Name: "any"}
		if got := ask(t, m, who, xds.ListenerType, name).Listener.Routes; got != want.routes {
			t.Errorf("%s: routes %q, want %q", namespace, got, want.routes)
		}
		if got := xds.Scope(m, who, xds.ListenerType, name); got != want.scope {
			t.Errorf("%s: scope %q, want %q", namespace, got, want.scope)
		}
	}
}

func TestInbound(t *testing.T) {
	for _, mode := range []mesh.MTLSMode{mesh.MTLSPermissive, mesh.MTLSStrict} {
		m := shop()
		m.Settings.MTLS = mode
		diff(t, ask(t, m, pod1, xds.ListenerType, "inbound").Inbound, &config.InboundListener{
			Inbound: config.Inbound{
				Name: "inbound", Origin: config.Origin{Kind: "Mesh", Name: "default", Generation: 3}, Strict: mode == mesh.MTLSStrict,
				Protocols: map[uint16]config.Protocol{8080: config.HTTP, 9000: config.TCP},
				Workload:  config.Workload{Namespace: "shop", Name: "cart", Pod: "cart-1", Identity: cartID},
			},
			Policy: config.OutboundRegistryOnly, AccessLog: true,
		})
	}
	if v := xds.Message(shop(), web, xds.ClusterType, "inbound").(interface{ ValidateAll() error }); v.ValidateAll() != nil {
		t.Error(v.ValidateAll())
	}
}

func TestEndpoints(t *testing.T) {
	m := shop()
	for name, want := range map[string][]config.Endpoint{
		"shop/cart:80": {
			{Address: addr("10.244.0.7:8080"), Identity: cartID, Zone: "a", Workload: config.Workload{Namespace: "shop", Name: "cart", Pod: "cart-1", Identity: cartID}},
			{Address: addr("10.244.0.9:8080"), Zone: "b"},
		},
		"shop/cart-v2:80": {{Address: addr("10.244.0.20:8080")}}, // nothing is ready: the one that still serves
		"shop/db:5432":    nil,
		"10.244.0.7:8080": {{Address: addr("10.244.0.7:8080"), Identity: cartID, Zone: "a", Workload: config.Workload{Namespace: "shop", Name: "cart", Pod: "cart-1", Identity: cartID}}},
		"10.244.0.8:8080": {{Address: addr("10.244.0.8:8080"), Workload: config.Workload{Namespace: "shop", Name: "web", Pod: "web-1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			diff(t, ask(t, m, web, xds.EndpointType, name).Endpoints.Endpoints, want)
		})
	}
}

func TestCluster(t *testing.T) {
	c := ask(t, shop(), web, xds.ClusterType, "shop/cart:80").Cluster
	c.Version = ""
	diff(t, c, &config.Cluster{Name: "shop/cart:80", Service: "shop/cart:80", Protocol: config.HTTP, Origin: config.Origin{Kind: "Service", Namespace: "shop", Name: "cart"}})
}

// TestHTTPVersion: what endpoints get, in our words and in the offer that Envoy would make them.
func TestHTTPVersion(t *testing.T) {
	m := shop()
	for _, name := range []string{"db", "cart"} {
		for _, p := range m.Services[mesh.Name{Namespace: "shop", Name: name}].Ports {
			m.Endpoints[mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: name}, Port: p.Number}] = []mesh.Endpoint{
				{Address: addr("10.244.0.7:8080"), Ready: true, Serving: true, Workload: pod1, Identity: cartID},
			}
		}
	}
	for name, want := range map[string]struct {
		version config.HTTPVersion
		offer   []string
	}{
		"shop/cart:80": {config.SameHTTP, []string{"leno-http/1.1", "leno-h2"}},
		"shop/cart:81": {config.SameHTTP, []string{"leno-tcp"}},
		"shop/db:90":   {config.HTTP2Only, []string{"leno-h2"}},
		"shop/db:443":  {config.SameHTTP, []string{"leno-tcp"}},
		"shop/db:5432": {config.SameHTTP, []string{"leno-tcp"}},
	} {
		if got := ask(t, m, web, xds.ClusterType, name).Cluster.HTTP; got != want.version {
			t.Errorf("%s: version %d, want %d", name, got, want.version)
		}
		c := xds.Message(m, web, xds.ClusterType, name).(*clusterv3.Cluster)
		var tls tlsv3.UpstreamTlsContext
		if err := c.GetTransportSocketMatches()[0].GetTransportSocket().GetTypedConfig().UnmarshalTo(&tls); err != nil {
			t.Fatal(err)
		}
		diff(t, tls.GetCommonTlsContext().GetAlpnProtocols(), want.offer)
		opaque := name == "shop/db:443" || name == "shop/db:5432"
		if has := len(c.GetTypedExtensionProtocolOptions()) > 0; has == opaque {
			t.Errorf("%s: says which HTTP: %v", name, has)
		}
	}
}

func TestUnknown(t *testing.T) {
	m := shop()
	for typeURL, names := range map[string][]string{
		xds.ListenerType: {"", "outbound/", "outbound/10.96.0.10:82", "outbound/10.96.0.99:80", "outbound/10.96.0.10:080", "outbound/[::ffff:10.96.0.10]:80", "outbound/10.244.0.7:0", "x"},
		xds.RouteType:    {"shop/cart:80", "shop/cart:80@", "shop/cart:80@x", "shop/cart:99", "*"},
		xds.ClusterType:  {"shop/cart:99", "shop/none:80", "shop/cart:+80", "10.9.9.9:80", "cart", strings.Repeat("/", 9)},
		xds.EndpointType: {"shop/cart:99", "inbound", ""},
		xds.SecretType:   {"workload"},
		"x":              {"x"},
	} {
		for _, name := range names {
			if _, err := xds.Translate(m, web, typeURL, name); err == nil {
				t.Errorf("%s %q exists", typeURL, name)
			}
		}
	}
}

func TestVersionsAreOfContent(t *testing.T) {
	a, err := xds.Translate(shop(), web, xds.EndpointType, "shop/cart:80")
	if err != nil {
		t.Fatal(err)
	}
	m := shop()
	e := m.Endpoints[mesh.ServicePort{Name: cart, Port: 80}]
	e[0], e[1] = e[1], e[0]
	b, _ := xds.Translate(m, web, xds.EndpointType, "shop/cart:80")
	if a.Version != b.Version {
		t.Error("the order of endpoints changed the version")
	}
	e[0].Zone = "c"
	if c, _ := xds.Translate(m, web, xds.EndpointType, "shop/cart:80"); c.Version == a.Version {
		t.Error("a change did not change the version")
	}
}

func TestTrustBundle(t *testing.T) {
	r, err := xds.TrustBundle([]byte("PEM"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Decode(r.Type, r.Name, r.Version, r.Body)
	if err != nil || string(got.Bundle) != "PEM" {
		t.Errorf("%q, %v", got.Bundle, err)
	}
}
