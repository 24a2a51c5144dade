package server

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/test/golden"
)

// TestSessions plays the scripts in testdata/session. Lines that begin with "<" are what the server sends; the test writes
// them (-update). The others are what happens:
//
//	publish a b@2 c>a      Services: a and b behind 10.96.0.0 and 10.96.0.1 with 1 and 2 endpoints; the route of c goes to a
//	> LDS +name -name      subscribes, unsubscribes
//	> LDS =name            subscribes, and has what is current now
//	> LDS ack, > LDS nack reason
//	gateway                the proxy is one of a gateway; its ports are published as :80
//	stream                 a new stream of the same proxy
//	> LDS =* has:name      asks by wildcard, and has what is current of a name, or something old where that is gone
//	limit response 1       bytes after which a response is full
func TestSessions(t *testing.T) {
	written := func(line string) bool { return strings.HasPrefix(line, "<") }
	golden.Scripts(t, "testdata/session", written, func(t *testing.T) golden.Play {
		p := player{t: t, session: newSession(mesh.Name{Namespace: "shop", Name: "web-1"}, Limits{}.withDefaults())}
		p.view = &view{cache: map[cacheKey]*answer{}}
		return p.play
	})
}

type player struct {
	t       *testing.T
	session *session
	view    *view
}

var shortNames = map[string]string{
	"LDS": xds.ListenerType, "RDS": xds.RouteType, "CDS": xds.ClusterType, "EDS": xds.EndpointType, "SDS": xds.SecretType,
	"XDS": "type.googleapis.com/unheard.of",
}

func (p *player) play(out *strings.Builder, words []string) {
	switch {
	case len(words) == 0 || words[0] == "#":
		return
	case words[0] == "gateway":
		p.session.gateway = true
	case words[0] == "stream":
		p.session = newSession(p.session.who, p.session.limits)
		p.session.gateway = true
		p.session.adopt(p.view)
	case words[0] == "publish":
		p.view = p.view.next(script(words[1:]))
		p.session.adopt(p.view)
	case words[0] == "bundle":
		r, err := xds.TrustBundle([]byte(words[1]))
		if err != nil {
			p.t.Fatal(err)
		}
		p.view = p.view.withBundle(r)
		p.session.adopt(p.view)
	case words[0] == "limit" && words[1] == "response":
		fmt.Sscan(words[2], &p.session.limits.ResponseBytes)
	case words[0] == "limit" && words[1] == "names":
		fmt.Sscan(words[2], &p.session.limits.Names)
	case words[0] == ">":
		v, err := p.session.request(p.request(words[1], words[2:]))
		switch {
		case err != nil:
			fmt.Fprintf(out, "< closed: %v\n", err)
			return
		case v.acked:
			fmt.Fprintf(out, "< (took the ack)\n")
		case v.nacked:
			fmt.Fprintf(out, "< (took the nack: %s)\n", v.message)
		}
	default:
		p.t.Fatalf("no such command: %q", words)
	}
	for r := p.session.next(); r != nil; r = p.session.next() {
		p.show(out, r)
	}
}

func (p *player) request(short string, words []string) *discoveryv3.DeltaDiscoveryRequest {
	typeURL := shortNames[short]
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: map[string]string{}}
	for i, w := range words {
		switch {
		case w == "ack":
			r.ResponseNonce = p.session.types[typeURL].nonce
		case w == "nack":
			r.ResponseNonce = p.session.types[typeURL].nonce
			r.ErrorDetail = &statusv3.Status{Message: strings.Join(words[i+1:], " ")}
			return r
		case strings.HasPrefix(w, "has:"):
			r.InitialResourceVersions[w[4:]] = "of-old"
			if res, err := p.view.lookup(p.session.who, typeURL, w[4:]); err == nil {
				r.InitialResourceVersions[w[4:]] = res.Version
			}
		case w == "=*":
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, "*")
		case w == "stale":
			r.ResponseNonce = "0"
		case w[0] == '-':
			r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, w[1:])
		case w[0] == '+':
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, w[1:])
		case w[0] == '=':
			r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, w[1:])
			res, err := p.view.lookup(p.session.who, typeURL, w[1:])
			r.InitialResourceVersions[w[1:]] = res.Version
			if errors.Is(err, xds.ErrUnknown) {
				r.InitialResourceVersions[w[1:]] = "of-old"
			}
		}
	}
	return r
}

func (p *player) show(out *strings.Builder, r *discoveryv3.DeltaDiscoveryResponse) {
	for short, typeURL := range shortNames {
		if typeURL == r.TypeUrl {
			fmt.Fprintf(out, "< %s", short)
		}
	}
	for _, res := range r.Resources {
		fmt.Fprintf(out, " %s", res.Name)
	}
	for _, name := range r.RemovedResources {
		fmt.Fprintf(out, " -%s", name)
	}
	fmt.Fprintln(out)
}

// script makes a mesh of the services that a publish line names.
func script(words []string) *mesh.Mesh {
	m := &mesh.Mesh{
		Services: map[mesh.Name]*mesh.Service{}, Workloads: map[mesh.Name]*mesh.Workload{},
		Frontends: map[netip.AddrPort]mesh.ServicePort{}, Endpoints: map[mesh.ServicePort][]mesh.Endpoint{},
	}
	web := mesh.Name{Namespace: "shop", Name: "web-1"}
	edge := &mesh.Gateway{Name: mesh.Name{Namespace: "shop", Name: "edge"}}
	m.Workloads[web] = &mesh.Workload{Name: web, Gateway: edge.Name}
	m.Gateways = map[mesh.Name]*mesh.Gateway{edge.Name: edge}
	for _, w := range words {
		if number, ok := strings.CutPrefix(w, ":"); ok {
			port := mesh.GatewayPort{Listeners: []*mesh.Listener{{Protocol: mesh.ListenerHTTP}}}
			fmt.Sscan(number, &port.Number)
			edge.Ports = append(edge.Ports, port)
			continue
		}
		name, target, _ := strings.Cut(w, ">")
		name, count, _ := strings.Cut(name, "@")
		n := 1
		fmt.Sscan(count, &n)
		sp := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: name}, Port: 80}
		vip := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 0, name[0] - 'a'}), 80)
		port := mesh.Port{Number: 80, Protocol: mesh.ProtocolHTTP}
		if target != "" {
			backend := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: target}, Port: 80}
			port.Routes = &mesh.RouteTable{Entries: []mesh.Entry{{Rule: &mesh.Rule{Backends: []mesh.Backend{{Service: backend, Weight: 1}}}}}}
		}
		m.Services[sp.Name] = &mesh.Service{Name: sp.Name, Addresses: []netip.Addr{vip.Addr()}, Ports: []mesh.Port{port}}
		m.Frontends[vip] = sp
		for i := range n {
			m.Endpoints[sp] = append(m.Endpoints[sp], mesh.Endpoint{Address: netip.AddrPortFrom(vip.Addr(), uint16(8080+i)), Ready: true})
		}
	}
	return m
}

func TestOneTranslationForAllStreams(t *testing.T) {
	v := (&view{cache: map[cacheKey]*answer{}}).next(script([]string{"a"}))
	const name = "outbound/10.96.0.0:80"
	for i := range 1000 {
		s := newSession(mesh.Name{Namespace: "shop", Name: fmt.Sprint(i)}, Limits{}.withDefaults())
		s.adopt(v)
		if _, err := s.request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.ListenerType, ResourceNamesSubscribe: []string{name}}); err != nil {
			t.Fatal(err)
		}
		if r := s.next(); len(r.GetResources()) != 1 {
			t.Fatalf("%v", r)
		}
	}
	if len(v.cache) != 1 {
		t.Errorf("%d translations", len(v.cache))
	}
}

func TestTranslationsOutliveAMeshThatSharesTheirSources(t *testing.T) {
	who := mesh.Name{Namespace: "shop", Name: "web-1"}
	first := (&view{cache: map[cacheKey]*answer{}}).next(script([]string{"a>b", "b", "c"}))
	lookup := func(v *view) {
		for _, k := range []struct{ typeURL, name string }{
			{xds.ListenerType, "outbound/10.96.0.0:80"}, {xds.RouteType, "shop/a:80"}, {xds.ClusterType, "shop/a:80"},
			{xds.EndpointType, "shop/a:80"}, {xds.EndpointType, "shop/b:80"}, {xds.ListenerType, "outbound/192.0.2.1:80"},
		} {
			_, _ = v.lookup(who, k.typeURL, k.name)
		}
	}
	lookup(first)
	_, _ = first.lookup(who, xds.ClusterType, "shop/c:80")

	// Only the endpoints of b changed, as on the fast path.
	m := *first.mesh
	m.Endpoints = map[mesh.ServicePort][]mesh.Endpoint{}
	for sp, list := range first.mesh.Endpoints {
		if sp.Name.Name == "b" {
			list = append([]mesh.Endpoint{{Address: netip.MustParseAddrPort("10.0.0.9:1"), Ready: true}}, list...)
		}
		m.Endpoints[sp] = list
	}
	second := first.next(&m)
	if len(second.cache) != 5 {
		t.Errorf("%d answers came along, not 5: the endpoints of b changed, the unknown one is not worth it", len(second.cache))
	}
	// What nobody asked for since is left behind.
	lookup(second)
	if third := second.next(&m); third.cache[cacheKey{typeURL: xds.ClusterType, name: "shop/c:80"}] != nil || len(third.cache) != 5 {
		t.Errorf("%d answers came along", len(third.cache))
	}
}

// TestSightings: what becomes of a connection to an unknown address follows from the policy, but where clients' words decide: then it is
// told when the proxy has refused one.
func TestSightings(t *testing.T) {
	unknown, refused := "outbound/192.0.2.1:443", "refused/192.0.2.1:443/a.example"
	to := netip.MustParseAddrPort("192.0.2.1:443")
	for policy, want := range map[mesh.OutboundPolicy][]mesh.Sighting{
		mesh.OutboundAllow: {{To: to}}, mesh.OutboundDeny: {{To: to}}, mesh.OutboundRegistryOnly: {{To: to, Host: "a.example"}},
	} {
		t.Run(string(policy), func(t *testing.T) {
			s := newSession(mesh.Name{Namespace: "shop", Name: "web-1"}, Limits{}.withDefaults())
			var got []mesh.Sighting
			s.unknown = func(one mesh.Sighting) { got = append(got, one) }
			m := script([]string{"a"})
			m.Settings.Outbound = policy
			s.adopt((&view{cache: map[cacheKey]*answer{}}).next(m))
			names := []string{unknown, "outbound/0.0.0.0:443", "outbound/10.96.0.0:80"}
			if policy == mesh.OutboundRegistryOnly {
				names = append(names, refused, "refused/192.0.2.1:443/A B")
			}
			for range 2 { // the second time it is no news
				if _, err := s.request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.ListenerType, ResourceNamesSubscribe: names}); err != nil {
					t.Fatal(err)
				}
				for s.next() != nil {
				}
				names = nil
				s.adopt((&view{cache: map[cacheKey]*answer{}}).next(m))
			}
			for i := range want {
				want[i].Pod, want[i].Policy = s.who, policy
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
