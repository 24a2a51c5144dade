package graph

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// servedOn makes the listeners of one port. They are told apart by host name, so each name belongs to one of them: the one whose own
// host name covers it most closely (Gateway.spec.listeners, "Listener Isolation").
func servedOn(listeners []*listener) []*mesh.Listener {
	slices.SortFunc(listeners, func(a, b *listener) int { return compareHosts(a.hostname, b.hostname) })
	names := make([]string, len(listeners))
	for i, l := range listeners {
		names[i] = l.hostname
	}
	out := make([]*mesh.Listener, 0, len(listeners))
	for _, l := range listeners {
		mine := func(name string) bool {
			owner, _ := mostSpecific(names, name)
			return owner == l.hostname
		}
		one := &mesh.Listener{Origin: l.origin(), Protocol: mesh.ListenerProtocol(l.spec.Protocol), Hostname: l.hostname, TLS: l.termination}
		switch l.spec.Protocol {
		case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
			one.Hosts = l.httpHosts(mine)
			if l.spec.Protocol == gatewayv1.HTTPSProtocolType {
				one.Hosts = append(one.Hosts, misdirected(l, listeners)...)
				slices.SortFunc(one.Hosts, func(a, b mesh.Host) int { return compareHosts(a.Name, b.Name) })
			}
		case gatewayv1.TLSProtocolType:
			for _, server := range servers(l.attached) {
				if mine(server.Name) {
					one.Servers = append(one.Servers, server)
				}
			}
		default:
			if len(l.attached) > 0 {
				one.Split = l.attached[0].rules.split // the oldest has it all
			}
		}
		out = append(out, one)
	}
	return out
}

// misdirected answers requests that came on a connection to one listener and are for another one: its client reused a connection that
// was not meant for them, and tries again on a new one (RFC 9110 section 15.5.20).
func misdirected(l *listener, all []*listener) []mesh.Host {
	var out []mesh.Host
	for _, other := range all {
		if other == l {
			continue
		}
		out = append(out, mesh.Host{Name: other.hostname, Routes: failAll(l.origin(), mesh.Failure{
			Status: 421, Reason: "MisdirectedRequest", Message: "another listener serves this host: the request came on a connection that was made for " + shown(l.hostname),
		})})
	}
	return out
}

// failAll answers each request with a failure.
func failAll(by mesh.Origin, with mesh.Failure) *mesh.RouteTable {
	return &mesh.RouteTable{Entries: []mesh.Entry{{
		Match: mesh.Match{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/"}},
		Rule:  &mesh.Rule{Origin: by, Fail: &with},
	}}}
}

func shown(host string) string {
	if host == "" {
		return "any host"
	}
	return host
}

func (l *listener) origin() mesh.Origin {
	return mesh.Origin{Kind: l.owner.kind, Namespace: l.owner.name.Namespace, Name: l.owner.name.Name, Rule: string(l.spec.Name)}
}
