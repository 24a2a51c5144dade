package xdsclient

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
)

// settle makes the next configuration from what is held. A resource comes into it when everything that it refers to is
// there; until then its predecessor stays in effect. If nothing changed, the configuration stays the same pointer.
func (m *machine) settle() {
	old := m.config
	next := &config.Config{
		Outbound: map[netip.AddrPort]*config.Listener{},
		Clusters: map[string]*config.Cluster{},
		Routes:   map[string]*config.RouteTable{},
		Ports:    map[uint16]*config.Port{}, Datagrams: map[netip.AddrPort]*config.Datagram{},
		Certificates: map[string]*config.Certificate{}, Roots: map[string]*config.Roots{},
		Inbound: old.Inbound, Policy: old.Policy, AccessLog: old.AccessLog,
	}
	if in := m.types[config.ListenerType].held[config.InboundName]; in.has() {
		v := in.value.Inbound
		next.Inbound, next.Policy, next.AccessLog = &v.Inbound, v.Policy, v.AccessLog
	}
	if s := m.types[config.SecretType].held[config.TrustBundleName]; s.has() {
		m.bundle = s.value.Bundle
	}
	for dst := range m.wanted {
		h := m.types[config.ListenerType].held[config.ListenerName(dst)]
		switch {
		case h != nil && h.absent:
			next.Outbound[dst] = nil
		case h.has() && m.include(next, h.value.Listener):
			next.Outbound[dst] = h.value.Listener
		case old.Outbound[dst] != nil && m.include(next, old.Outbound[dst]):
			next.Outbound[dst] = old.Outbound[dst]
		}
	}
	m.settlePorts(next)
	if !same(old, next) {
		m.config = next
	}
	m.sweep()
}

func same(a, b *config.Config) bool {
	return a.Inbound == b.Inbound && a.Policy == b.Policy && a.AccessLog == b.AccessLog &&
		maps.Equal(a.Outbound, b.Outbound) && maps.Equal(a.Clusters, b.Clusters) && maps.Equal(a.Routes, b.Routes) &&
		a.Waiting == b.Waiting && maps.Equal(a.Ports, b.Ports) && maps.Equal(a.Datagrams, b.Datagrams) &&
		maps.Equal(a.Certificates, b.Certificates) && maps.Equal(a.Roots, b.Roots)
}

// include puts what a listener refers to into next, if all of it is there.
func (m *machine) include(next *config.Config, l *config.Listener) bool {
	missing := func(c string) bool { return m.cluster(c) == nil }
	if slices.ContainsFunc(l.References(), missing) {
		return false
	}
	if l.Routes != "" && next.Routes[l.Routes] == nil {
		t := m.routes(l.Routes)
		if t == nil {
			return false
		}
		next.Routes[l.Routes] = t
		for _, name := range t.References() {
			next.Clusters[name] = m.cluster(name)
		}
	}
	for _, name := range l.References() {
		next.Clusters[name] = m.cluster(name)
	}
	return true
}

// routes is the table to use: the held one if its clusters are there, else the one in effect.
func (m *machine) routes(name string) *config.RouteTable {
	complete := func(t *config.RouteTable) bool {
		return t != nil && !slices.ContainsFunc(t.References(), func(c string) bool { return m.cluster(c) == nil })
	}
	if h := m.types[config.RouteType].held[name]; h.has() && complete(h.value.Routes) {
		return h.value.Routes
	}
	if t := m.config.Routes[name]; complete(t) {
		return t
	}
	return nil
}

// cluster is the cluster to use: the held one if its endpoints are there, else the one in effect. One that the control
// plane does not have is there, without endpoints: waiting for it would keep good news back.
func (m *machine) cluster(name string) *config.Cluster {
	c := m.types[config.ClusterType].held[name]
	e := m.types[config.EndpointType].held[name]
	if !c.has() && (c == nil || !c.absent) || c.has() && !asksDNS(c) && !e.has() && (e == nil || !e.absent) || m.owesCertificate(c) {
		return m.config.Clusters[name]
	}
	now := composed{cluster: c.value.Cluster}
	if c.has() && e.has() {
		now.endpoints = e.value.Endpoints
	}
	old, ok := m.composed[name]
	if ok && old.cluster == now.cluster && old.endpoints == now.endpoints {
		return old.whole
	}
	now.whole = compose(name, now.cluster, now.endpoints)
	m.composed[name] = now
	return now.whole
}

// asksDNS tells whether the endpoints of a cluster come from elsewhere.
func asksDNS(c *held) bool { return c.has() && c.value.Cluster.DNS != nil }

// compose puts endpoints into their cluster; both may be nil.
func compose(name string, c *config.Cluster, a *config.Assignment) *config.Cluster {
	if c == nil {
		return &config.Cluster{Name: name}
	}
	whole := *c
	if a == nil {
		return &whole
	}
	whole.Version = c.Version + "/" + a.Version
	service := c.Service
	if i := strings.LastIndexByte(service, ':'); i >= 0 {
		service = service[:i]
	}
	whole.Endpoints = slices.Clone(a.Endpoints)
	for i := range whole.Endpoints {
		whole.Endpoints[i].Workload.Service, whole.Endpoints[i].TLS = service, c.TLS
	}
	return &whole
}

// standing tells how far a destination is.
type standing int

const (
	waiting standing = iota
	known            // it is in the configuration, be it as unknown to the control plane
	stuck            // something that it needs was refused, and has no predecessor
)

func (m *machine) standing(dst netip.AddrPort) standing {
	if _, ok := m.config.Outbound[dst]; ok {
		return known
	}
	bad := func(typeURL, name string) bool {
		h := m.types[typeURL].held[name]
		return h != nil && h.refused && !h.has()
	}
	name := config.ListenerName(dst)
	l := m.types[config.ListenerType].held[name]
	if bad(config.ListenerType, name) {
		return stuck
	}
	if !l.has() {
		return waiting
	}
	clusters := l.value.Listener.References()
	if r := l.value.Listener.Routes; r != "" {
		if bad(config.RouteType, r) {
			return stuck
		}
		if h := m.types[config.RouteType].held[r]; h.has() {
			clusters = append(clusters, h.value.Routes.References()...)
		}
	}
	for _, c := range clusters {
		if bad(config.ClusterType, c) || bad(config.EndpointType, c) {
			return stuck
		}
	}
	return waiting
}
