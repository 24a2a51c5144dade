package xdsclient

import (
	"slices"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
)

// wildcard asks for all listeners that a gateway opens, whichever they are.
const wildcard = "*"

// opened tells whether a listener is one that a gateway opens: it came by the wildcard.
func (m *machine) opened(typeURL, name string) bool {
	return m.gateway && typeURL == config.ListenerType &&
		(strings.HasPrefix(name, config.GatewayPrefix) || strings.HasPrefix(name, config.DatagramPrefix))
}

// references is what a listener that is opened refers to.
type references struct{ clusters, tables, secrets []string }

func portReferences(p *config.Port) references {
	if p == nil {
		return references{}
	}
	return references{p.References(), p.Tables(), p.Secrets()}
}

func datagramReferences(d *config.Datagram) references {
	if d == nil {
		return references{}
	}
	return references{clusters: d.References()}
}

// settlePorts puts the ports and sockets of a gateway into next, each when all that it refers to is there; until then its
// predecessor stays.
func (m *machine) settlePorts(next *config.Config) {
	old := m.config
	for name, h := range m.types[config.ListenerType].held {
		if !m.opened(config.ListenerType, name) || !h.has() {
			continue
		}
		if p := h.value.Port; p != nil {
			before := old.Ports[p.Number]
			switch {
			case m.includeAll(next, portReferences(p)):
				next.Ports[p.Number] = p
			case before != nil && m.includeAll(next, portReferences(before)):
				next.Ports[p.Number] = before
			case m.waits(portReferences(p)):
				next.Waiting++
			}
		}
		if d := h.value.Datagram; d != nil {
			before := old.Datagrams[d.Address]
			switch {
			case m.includeAll(next, datagramReferences(d)):
				next.Datagrams[d.Address] = d
			case before != nil && m.includeAll(next, datagramReferences(before)):
				next.Datagrams[d.Address] = before
			case m.waits(datagramReferences(d)):
				next.Waiting++
			}
		}
	}
	for _, c := range next.Clusters {
		if c.TLS != nil && c.TLS.Certificate != "" {
			m.includeSecret(next, c.TLS.Certificate)
		}
	}
}

// includeAll puts what r names into next, if all of it is there.
func (m *machine) includeAll(next *config.Config, r references) bool {
	missingCluster := func(c string) bool { return m.cluster(c) == nil }
	missingTable := func(t string) bool { return m.routes(t) == nil }
	missingSecret := func(s string) bool { return m.missing(config.SecretType, s) }
	if slices.ContainsFunc(r.clusters, missingCluster) || slices.ContainsFunc(r.tables, missingTable) ||
		slices.ContainsFunc(r.secrets, missingSecret) {
		return false
	}
	for _, name := range r.tables {
		t := m.routes(name)
		next.Routes[name] = t
		for _, cluster := range t.References() {
			next.Clusters[cluster] = m.cluster(cluster)
		}
	}
	for _, name := range r.clusters {
		next.Clusters[name] = m.cluster(name)
	}
	for _, name := range r.secrets {
		m.includeSecret(next, name)
	}
	return true
}

// includeSecret puts a secret into next. One that the control plane does not have, or that cannot be used, is left out: the
// connections that need it fail, and only they.
func (m *machine) includeSecret(next *config.Config, name string) {
	h := m.types[config.SecretType].held[name]
	switch {
	case !h.has():
	case h.value.Certificate != nil:
		next.Certificates[name] = h.value.Certificate
	case h.value.Roots != nil:
		next.Roots[name] = h.value.Roots
	}
}

// missing tells whether the control plane still owes an answer about a resource.
func (m *machine) missing(typeURL, name string) bool {
	h := m.types[typeURL].held[name]
	return h == nil || !h.has() && !h.absent && !h.refused
}

// waits tells whether something that r names is still on its way; else something was refused, and waiting is in vain.
func (m *machine) waits(r references) bool {
	clusters := slices.Clone(r.clusters)
	for _, name := range r.tables {
		if m.missing(config.RouteType, name) {
			return true
		}
		if h := m.types[config.RouteType].held[name]; h.has() {
			clusters = append(clusters, h.value.Routes.References()...)
		}
	}
	for _, name := range clusters {
		h := m.types[config.ClusterType].held[name]
		if m.missing(config.ClusterType, name) || h.has() && !asksDNS(h) && m.missing(config.EndpointType, name) || m.owesCertificate(h) {
			return true
		}
	}
	return slices.ContainsFunc(r.secrets, func(s string) bool { return m.missing(config.SecretType, s) })
}

// owesCertificate tells whether the certificate that a cluster's endpoints are shown is still on its way.
func (m *machine) owesCertificate(h *held) bool {
	if !h.has() || h.value.Cluster.TLS == nil || h.value.Cluster.TLS.Certificate == "" {
		return false
	}
	return m.missing(config.SecretType, h.value.Cluster.TLS.Certificate)
}

// needPorts adds what a gateway's ports reach.
func (m *machine) needPorts(need map[string]names) {
	if !m.gateway {
		return
	}
	need[config.ListenerType][wildcard] = struct{}{}
	add := func(r references) {
		for _, name := range r.clusters {
			need[config.ClusterType][name] = struct{}{}
		}
		for _, name := range r.tables {
			need[config.RouteType][name] = struct{}{}
		}
		for _, name := range r.secrets {
			need[config.SecretType][name] = struct{}{}
		}
	}
	for name, h := range m.types[config.ListenerType].held {
		if m.opened(config.ListenerType, name) && h.has() {
			add(portReferences(h.value.Port))
			add(datagramReferences(h.value.Datagram))
		}
	}
	for _, p := range m.config.Ports {
		add(portReferences(p))
	}
	for _, d := range m.config.Datagrams {
		add(datagramReferences(d))
	}
}

// needCertificates adds the certificates that endpoints of needed clusters are shown.
func (m *machine) needCertificates(need map[string]names) {
	for name := range need[config.ClusterType] {
		if h := m.types[config.ClusterType].held[name]; h.has() && h.value.Cluster.TLS != nil && h.value.Cluster.TLS.Certificate != "" {
			need[config.SecretType][h.value.Cluster.TLS.Certificate] = struct{}{}
		}
		if c := m.config.Clusters[name]; c != nil && c.TLS != nil && c.TLS.Certificate != "" {
			need[config.SecretType][c.TLS.Certificate] = struct{}{}
		}
	}
}

// versions lists what is held of what the wildcard brought, so that the control plane can tell what has changed and what is gone.
func (m *machine) versions(h *holding) map[string]string {
	versions := map[string]string{}
	for name, one := range h.held {
		if m.opened(config.ListenerType, name) && one.has() {
			versions[name] = one.Version
		}
	}
	return versions
}
