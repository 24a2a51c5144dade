package main

import (
	"net/netip"

	"github.com/leno-mesh/leno/proxy/config"
)

// config is what a control plane would say about a Service with one HTTPRoute that matches everything, and one endpoint.
func (s *settings) config() *config.Config {
	web := config.Workload{Namespace: "bench", Name: "web", Service: "bench/web"}
	if s.inbound {
		at := netip.MustParseAddrPort(s.listen)
		return &config.Config{Inbound: &config.Inbound{
			Name: "inbound", Strict: true, Workload: web, Protocols: map[uint16]config.Protocol{at.Port(): s.protocol},
		}}
	}
	const cluster, routes, name = "bench/web:80", "bench/web:80", "bench/web:80"
	listener := &config.Listener{
		Name: "outbound/" + service.String(), Protocol: s.protocol, Cluster: cluster, Service: name,
		Origin: config.Origin{Kind: "Service", Namespace: "bench", Name: "web"},
	}
	c := &config.Config{
		Inbound:  &config.Inbound{Name: "inbound", Workload: config.Workload{Namespace: "bench", Name: "client"}},
		Outbound: map[netip.AddrPort]*config.Listener{service: listener},
		Clusters: map[string]*config.Cluster{cluster: {
			Name: cluster, Service: name, Protocol: s.protocol,
			Endpoints: []config.Endpoint{{Address: s.upstream, Identity: s.peer, Workload: web}},
		}},
	}
	if s.protocol != config.TCP {
		listener.Routes = routes
		c.Routes = map[string]*config.RouteTable{routes: {Name: routes, Entries: []config.Entry{{
			Match: config.Match{PathKind: config.PathPrefix, Path: "/"},
			Action: &config.Action{
				Origin:   config.Origin{Kind: "HTTPRoute", Namespace: "bench", Name: "web", Rule: "0"},
				Backends: []config.Backend{{Cluster: cluster, Weight: 1}},
			},
		}}}}
	}
	return c
}
