//go:build differential

package differential

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/test/fixture"
	"github.com/leno-mesh/leno/test/golden"
)

const casesRoot = "../cases"

// client is the pod whose proxies are compared. Its namespace is that of consumer routes, one configuration at a time.
var client = mesh.Name{Namespace: "differential", Name: "client"}

const clientID = "spiffe://cluster.local/ns/differential/sa/client"

// destination is a virtual address that both planes know, and what is expected behind it.
type destination struct {
	name     string // "<configuration>/<service>:<port>"
	address  netip.AddrPort
	port     mesh.ServicePort
	protocol mesh.Protocol
	table    *mesh.RouteTable // nil: everything goes to the Service
	spread   bool             // weights choose between backends
	copies   int              // mirrors of all requests, at most
	sessions sessions
}

// union is one mesh of many: each configuration's namespaces get the configuration's name in front. One Envoy serves them
// all, which takes seconds where one for each takes minutes.
type union struct {
	t            testing.TB
	mesh         *mesh.Mesh
	backends     *backends
	destinations []*destination
	outside      map[mesh.Name]mesh.ServicePort // XBackends
}

func newUnion(t testing.TB, b *backends) *union {
	return &union{t: t, backends: b, outside: map[mesh.Name]mesh.ServicePort{}, mesh: &mesh.Mesh{
		Settings: mesh.Settings{TrustDomain: "cluster.local", MTLS: mesh.MTLSPermissive, Outbound: mesh.OutboundRegistryOnly, SessionKey: mesh.SessionKey{1}},
		Services: map[mesh.Name]*mesh.Service{}, XBackends: map[mesh.Name]*mesh.Service{}, Frontends: map[netip.AddrPort]mesh.ServicePort{},
		Workloads: map[mesh.Name]*mesh.Workload{client: {
			Name: client, Identity: clientID, Owner: "client", Injected: true,
			Protocols: map[uint16]mesh.Protocol{8080: mesh.ProtocolHTTP},
		}},
		WorkloadByIP: map[netip.Addr]mesh.Name{}, Endpoints: map[mesh.ServicePort][]mesh.Endpoint{},
	}}
}

// addCases takes every case of test/cases, as a client of no particular namespace sees it and as each namespace with routes
// of its own does.
func (u *union) addCases() {
	for _, file := range golden.Files(u.t, filepath.Join(casesRoot, "*", "in.yaml")) {
		name := filepath.Base(filepath.Dir(file))
		events, _ := fixture.Case(u.t, casesRoot, name)
		m := build(events)
		u.add(name, m, "")
		for _, consumer := range consumers(m) {
			u.add(name+"-for-"+consumer, m, consumer)
		}
	}
}

func build(events []snapshot.Event) *mesh.Mesh {
	return graph.Build((&snapshot.Snapshot{}).With(events), graph.Options{SessionKey: mesh.SessionKey{1}}).Mesh
}

func consumers(m *mesh.Mesh) []string {
	set := map[string]bool{}
	for _, s := range m.Services {
		for _, p := range s.Ports {
			for namespace := range p.Consumer {
				set[namespace] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// add takes the Services of a mesh and makes destinations of those HTTP ports that have routes for the client namespace.
func (u *union) add(configuration string, m *mesh.Mesh, consumer string) {
	r := renaming{configuration + ".", map[*mesh.Rule]*mesh.Rule{}, u.outside}
	for _, name := range slices.SortedFunc(maps.Keys(m.XBackends), func(a, b mesh.Name) int { return cmp.Compare(a.String(), b.String()) }) {
		u.xbackend(r.name(name), m.XBackends[name])
	}
	several := stayed(m)
	for _, name := range slices.SortedFunc(maps.Keys(m.Services), func(a, b mesh.Name) int { return cmp.Compare(a.String(), b.String()) }) {
		service := *m.Services[name]
		service.Name = r.name(name)
		service.Ports = slices.Clone(service.Ports)
		u.mesh.Services[service.Name] = &service
		for i := range service.Ports {
			port := &service.Ports[i]
			port.Routes = r.table(port.Routes)
			own := r.table(port.Consumer[consumer])
			if port.Consumer = nil; own != nil {
				port.Consumer = map[string]*mesh.RouteTable{client.Namespace: own}
			}
			sp := mesh.ServicePort{Name: service.Name, Port: port.Number}
			list := m.Endpoints[mesh.ServicePort{Name: name, Port: port.Number}]
			if several[mesh.ServicePort{Name: name, Port: port.Number}] {
				list = slices.Repeat([]mesh.Endpoint{{Ready: true, Serving: true}}, 3)
			}
			u.endpoints(sp, list)
			table := port.Routes
			if consumer != "" {
				table = own
			}
			// Ports without routes matter in one configuration only, or where they keep sessions.
			http := port.Protocol == mesh.ProtocolHTTP || port.Protocol == mesh.ProtocolHTTP2
			if http && (table != nil || port.Persistence != nil) || configuration == wireConfiguration {
				u.destination(configuration, sp, port.Protocol, table)
			}
		}
	}
}

func (u *union) destination(configuration string, sp mesh.ServicePort, protocol mesh.Protocol, table *mesh.RouteTable) {
	n := len(u.destinations)
	d := &destination{
		name:    fmt.Sprintf("%s/%s:%d", configuration, sp.Name.Name, sp.Port),
		address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, byte(n >> 8), byte(n)}), sp.Port),
		port:    sp, protocol: protocol, table: table,
	}
	if table != nil {
		for _, e := range table.Entries {
			chosen := 0
			for _, b := range e.Rule.Backends {
				if b.Weight > 0 {
					chosen++
				}
			}
			d.spread = d.spread || chosen > 1
			d.copies = max(d.copies, copies(e.Rule))
		}
	}
	u.destinations = append(u.destinations, d)
	u.mesh.Frontends[d.address] = sp
}

// xbackend puts one on this machine. It is spoken to without TLS, which is compared nowhere here.
func (u *union) xbackend(name mesh.Name, from *mesh.Service) {
	to := *from
	to.Name, to.Ports = name, slices.Clone(to.Ports)
	port := &to.Ports[0]
	port.Number, port.Hostname, port.TLS = u.backends.listen(name.String()).Port(), "localhost", nil
	u.mesh.XBackends[name] = &to
	u.outside[name] = mesh.ServicePort{Name: name, Port: port.Number, XBackend: true}
}

// stayed are the ports at whose endpoints clients may stay: it takes several to tell.
func stayed(m *mesh.Mesh) map[mesh.ServicePort]bool {
	out := map[mesh.ServicePort]bool{}
	for _, s := range m.Services {
		for _, p := range s.Ports {
			if p.Persistence != nil {
				out[mesh.ServicePort{Name: s.Name, Port: p.Number}] = true
			}
			if p.Routes == nil {
				continue
			}
			for _, e := range p.Routes.Entries {
				for _, b := range e.Rule.Backends {
					if e.Rule.Persistence != nil {
						out[b.Service] = true
					}
				}
			}
		}
	}
	return out
}

// copies is how many mirrors of all requests a rule has at most.
func copies(r *mesh.Rule) int {
	count := func(f mesh.Filters) int {
		n := 0
		for _, m := range f.Mirrors {
			if m.Numerator == m.Denominator && m.Invalid == "" {
				n++
			}
		}
		return n
	}
	n := 0
	for _, b := range r.Backends {
		n = max(n, count(b.Filters))
	}
	return n + count(r.Filters)
}

// refusing holds the addresses of endpoints at which nobody listens.
var refusing = netip.MustParsePrefix("198.51.100.0/24")

// endpoints gives each endpoint a backend on loopback. A Service without any in its case gets one, so that its requests
// arrive somewhere; those of the wire configuration are meant as they are.
func (u *union) endpoints(sp mesh.ServicePort, list []mesh.Endpoint) {
	name := sp.String()
	if len(list) == 0 && !u.wire(sp) {
		list = []mesh.Endpoint{{Ready: true, Serving: true}}
	}
	var out []mesh.Endpoint
	for _, e := range list {
		one := mesh.Endpoint{Ready: e.Ready, Serving: e.Serving, Terminating: e.Terminating}
		if e.Address.IsValid() && refusing.Contains(e.Address.Addr()) {
			one.Address = u.backends.refuse()
		} else {
			one.Address = u.backends.listen(name)
		}
		out = append(out, one)
	}
	u.mesh.Endpoints[sp] = out
}

func (u *union) wire(sp mesh.ServicePort) bool {
	return sp.Namespace == wireConfiguration+".wire"
}

// renaming puts a prefix in front of namespaces. Rules stay shared where they were.
type renaming struct {
	prefix string
	rules  map[*mesh.Rule]*mesh.Rule
	// outside has XBackends by their new names.
	outside map[mesh.Name]mesh.ServicePort
}

func (r renaming) name(n mesh.Name) mesh.Name {
	return mesh.Name{Namespace: r.prefix + n.Namespace, Name: n.Name}
}

func (r renaming) port(p mesh.ServicePort) mesh.ServicePort {
	if p.XBackend {
		return r.outside[r.name(p.Name)]
	}
	return mesh.ServicePort{Name: r.name(p.Name), Port: p.Port}
}

func (r renaming) table(t *mesh.RouteTable) *mesh.RouteTable {
	if t == nil {
		return nil
	}
	out := &mesh.RouteTable{Entries: slices.Clone(t.Entries)}
	for i := range out.Entries {
		out.Entries[i].Rule = r.rule(out.Entries[i].Rule)
	}
	return out
}

func (r renaming) rule(from *mesh.Rule) *mesh.Rule {
	if to := r.rules[from]; to != nil {
		return to
	}
	to := *from
	to.Filters = r.filters(to.Filters)
	to.Backends = slices.Clone(to.Backends)
	for i := range to.Backends {
		to.Backends[i].Service = r.port(to.Backends[i].Service)
		to.Backends[i].Filters = r.filters(to.Backends[i].Filters)
	}
	r.rules[from] = &to
	return &to
}

// filters keeps mirrors of all requests and turns off those of a share: rare copies would take thousands of requests to
// compare.
func (r renaming) filters(f mesh.Filters) mesh.Filters {
	f.Mirrors = slices.Clone(f.Mirrors)
	for i := range f.Mirrors {
		m := &f.Mirrors[i]
		if m.Backend = r.port(m.Backend); m.Numerator < m.Denominator {
			m.Numerator = 0
		}
	}
	if f.ExternalAuth != nil {
		auth := *f.ExternalAuth
		auth.Server = r.port(auth.Server)
		f.ExternalAuth = &auth
	}
	return f
}
