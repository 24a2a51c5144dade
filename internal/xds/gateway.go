package xds

import (
	"net/netip"
	"slices"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// gatewayOf is the gateway whose proxy a pod is; nil for all others.
func gatewayOf(m *mesh.Mesh, who mesh.Name) *mesh.Gateway {
	w := m.Workloads[who]
	if w == nil || w.Gateway == (mesh.Name{}) {
		return nil
	}
	return m.Gateways[w.Gateway]
}

// GatewayListeners names the listeners that a gateway's proxy opens, in the order of its ports; none for other pods. They are
// what the pod gets by a wildcard.
func GatewayListeners(m *mesh.Mesh, who mesh.Name) []string {
	g := gatewayOf(m, who)
	if g == nil {
		return nil
	}
	names := make([]string, 0, len(g.Ports))
	for i := range g.Ports {
		names = append(names, portName(&g.Ports[i]))
	}
	return names
}

func portName(p *mesh.GatewayPort) string {
	if p.UDP {
		return datagramPrefix + netip.AddrPortFrom(netip.IPv6Unspecified(), p.Number).String()
	}
	return GatewayListenerName(p.Number)
}

func gatewayPort(g *mesh.Gateway, name string) *mesh.GatewayPort {
	if g == nil {
		return nil
	}
	for i := range g.Ports {
		if portName(&g.Ports[i]) == name && len(g.Ports[i].Listeners) > 0 {
			return &g.Ports[i]
		}
	}
	return nil
}

// gatewayListener is one port of the gateway: all of its listeners, each in chains of its own but for those of HTTP, which are
// told apart by host name only when a request is there.
func gatewayListener(m *mesh.Mesh, g *mesh.Gateway, name string) *listenerv3.Listener {
	p := gatewayPort(g, name)
	if p == nil {
		return nil
	}
	first := p.Listeners[0]
	if first.Protocol == mesh.ListenerUDP {
		return datagrams(g, p, first)
	}
	l := &listenerv3.Listener{
		Name:    name,
		Address: everywhere(p.Number, corev3.SocketAddress_TCP),
		Metadata: metadata{}.set(KeyOrigin, origin(g.Origin)).
			set(KeyListener, fields{}.text("service", portService(g, p))).proto(),
	}
	switch first.Protocol {
	case mesh.ListenerHTTP:
		l.FilterChains = []*listenerv3.FilterChain{edgeHTTP(m, name, GatewayRouteName(g.Name, p.Number), p.Listeners...)}
	case mesh.ListenerTCP:
		l.FilterChains = []*listenerv3.FilterChain{splitTCP(name, first.Split)}
	default:
		l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector()}
		for _, one := range p.Listeners {
			l.FilterChains = append(l.FilterChains, tlsChains(m, g, p, one)...)
		}
	}
	return l
}

func tlsInspector() *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&tlsinspectorv3.TlsInspector{})},
	}
}

// portService is what a gateway's port is called in telemetry: what clients dialled.
func portService(g *mesh.Gateway, p *mesh.GatewayPort) string {
	return g.String() + ":" + strconv.Itoa(int(p.Number))
}

// everywhere binds all addresses of both families.
func everywhere(port uint16, protocol corev3.SocketAddress_Protocol) *corev3.Address {
	a := address(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	socket := a.GetSocketAddress()
	socket.Protocol, socket.Ipv4Compat = protocol, true
	return a
}

// tlsChains are the chains of one HTTPS or TLS listener, by server name.
func tlsChains(m *mesh.Mesh, g *mesh.Gateway, p *mesh.GatewayPort, l *mesh.Listener) []*listenerv3.FilterChain {
	name := GatewayListenerName(p.Number)
	if l.Protocol == mesh.ListenerHTTPS {
		chain := edgeHTTP(m, name, GatewayRouteName(g.Name, p.Number)+"/"+anyOr(l.Hostname), l)
		return []*listenerv3.FilterChain{byServerName(chain, l, p, l.Hostname, l.Origin, "h2", "http/1.1")}
	}
	var chains []*listenerv3.FilterChain
	whole := false // whether a route takes all that the listener is for
	for _, s := range l.Servers {
		from := l.Origin
		if s.Split != nil {
			from = s.Split.Origin
		}
		whole = whole || s.Name == l.Hostname
		chains = append(chains, byServerName(splitTCP(name, s.Split), l, p, s.Name, from))
	}
	if !whole {
		// What no route of the listener takes is refused, rather than left to a listener with a wider name.
		chains = append(chains, byServerName(splitTCP(name, nil), l, p, l.Hostname, l.Origin))
	}
	return chains
}

// byServerName lets a chain take the TLS connections that ask for a name ("": what no other chain takes), and terminates TLS
// where the listener does.
func byServerName(chain *listenerv3.FilterChain, l *mesh.Listener, p *mesh.GatewayPort, name string, from mesh.Origin, alpn ...string) *listenerv3.FilterChain {
	chain.Name = anyOr(name)
	chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
	if name != "" {
		chain.FilterChainMatch.ServerNames = []string{name}
	}
	chain.Metadata = metadata{}.set(KeyOrigin, origin(from)).proto()
	if l.TLS != nil {
		chain.TransportSocket = termination(l, p, alpn)
	}
	return chain
}

// edgeHTTP serves HTTP of any version to clients from outside of the mesh. They are believed nothing: where a request came from
// is what the connection says.
func edgeHTTP(m *mesh.Mesh, name, routes string, listeners ...*mesh.Listener) *listenerv3.FilterChain {
	hcm := connectionManager(name)
	hcm.UseRemoteAddress, hcm.NormalizePath = wrapperspb.Bool(true), wrapperspb.Bool(true)
	hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads(), RouteConfigName: routes}}
	if slices.ContainsFunc(listeners, func(l *mesh.Listener) bool {
		return slices.ContainsFunc(l.Hosts, func(h mesh.Host) bool { return keepsSessions(m, h.Routes) })
	}) {
		keepSessions(hcm)
	}
	filterRequests(hcm, listeners)
	return networkFilter("envoy.filters.network.http_connection_manager", hcm)
}

// share is one destination of connections by weight.
type share struct {
	cluster string
	weight  uint32
}

// shares are the destinations of a split, those without weight left out. Nothing is left to nobody: FailCluster refuses.
func shares(s *mesh.Split) []share {
	var out []share
	if s != nil {
		for _, b := range s.Backends {
			one := share{ClusterName(b.Service), b.Weight}
			if b.Fail != nil {
				one.cluster = FailCluster
			}
			if b.Weight > 0 {
				out = append(out, one)
			}
		}
	}
	if len(out) == 0 {
		out = []share{{FailCluster, 1}}
	}
	return out
}

// splitTCP relays connections by weight.
func splitTCP(name string, s *mesh.Split) *listenerv3.FilterChain {
	all := shares(s)
	if len(all) == 1 {
		chain := tcp(all[0].cluster)
		chain.Metadata = splitOrigin(s)
		return chain
	}
	weighted := &tcpv3.TcpProxy_WeightedCluster{}
	for _, one := range all {
		weighted.Clusters = append(weighted.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: one.cluster, Weight: one.weight})
	}
	chain := networkFilter("envoy.filters.network.tcp_proxy", &tcpv3.TcpProxy{
		StatPrefix: statPrefix(name), ClusterSpecifier: &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: weighted},
	})
	chain.Metadata = splitOrigin(s)
	return chain
}

func splitOrigin(s *mesh.Split) *corev3.Metadata {
	if s == nil {
		return nil
	}
	return metadata{}.set(KeyOrigin, origin(s.Origin)).proto()
}

// gatewayRoutes is the table of an HTTP port, with the hosts of all its listeners, or of one HTTPS listener.
func gatewayRoutes(m *mesh.Mesh, g *mesh.Gateway, name string) *routev3.RouteConfiguration {
	if g == nil {
		return nil
	}
	for i := range g.Ports {
		p := &g.Ports[i]
		table := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
		found := false
		for _, l := range p.Listeners {
			own := GatewayRouteName(g.Name, p.Number)
			if l.Protocol == mesh.ListenerHTTPS {
				own += "/" + anyOr(l.Hostname)
			}
			if own != name || l.Protocol != mesh.ListenerHTTP && l.Protocol != mesh.ListenerHTTPS {
				continue
			}
			found = true
			for _, h := range l.Hosts {
				host := virtualHost(m, anyOr(h.Name), h.Routes)
				setListenerFilters(m, host, h.Filters)
				table.VirtualHosts = append(table.VirtualHosts, host)
			}
		}
		if found {
			return table
		}
	}
	return nil
}

// anyOr is a host name as Envoy writes it.
func anyOr(hostname string) string {
	if hostname == "" {
		return anyHost
	}
	return hostname
}
