package xds

import (
	"net/netip"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	inspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Listener is what a pod's proxy does with connections to one original destination, or, by the name "inbound", with those
// that come to the pod, or, for the proxy of a gateway, what it opens; nil when the mesh does not know the destination.
func Listener(m *mesh.Mesh, who mesh.Name, name string) *listenerv3.Listener {
	if name == InboundName {
		return inbound(m, who)
	}
	if strings.HasPrefix(name, gatewayPrefix) || strings.HasPrefix(name, datagramPrefix) {
		return gatewayListener(m, gatewayOf(m, who), name)
	}
	dst, ok := ParseListenerName(name)
	if !ok {
		return nil
	}
	if dst.Addr().IsUnspecified() {
		if dst != CatchAll(dst.Port()) {
			return nil
		}
		return catchAll(m, who.Namespace, dst)
	}
	if sp, port := frontend(m, dst); port != nil {
		out := outbound{name: name, dst: dst, cluster: ClusterName(sp), service: ClusterName(sp), protocol: port.Protocol}
		out.origin = m.Services[sp.Name].Origin
		switch {
		case port.Consumer[who.Namespace] != nil:
			out.routes, out.sessions = RouteName(sp, who.Namespace), keepsSessions(m, port.Consumer[who.Namespace])
		case port.ConsumerL4[who.Namespace] != nil:
			return out.connections(port.ConsumerL4[who.Namespace])
		case port.Routes != nil:
			out.routes, out.sessions = RouteName(sp, ""), keepsSessions(m, port.Routes)
		case port.L4 != nil:
			return out.connections(port.L4)
		default:
			out.own = kept(m, port.Persistence)
		}
		return out.listener()
	}
	w := m.Workloads[m.WorkloadByIP[dst.Addr()]]
	if w == nil || dst.Port() == 0 {
		return nil
	}
	return outbound{name: name, dst: dst, cluster: PodClusterName(dst), origin: w.Origin, protocol: w.Protocols[dst.Port()]}.listener()
}

// frontend finds the service port behind a virtual address; port is nil when there is none.
func frontend(m *mesh.Mesh, dst netip.AddrPort) (mesh.ServicePort, *mesh.Port) {
	sp, ok := m.Frontends[dst]
	if !ok {
		return mesh.ServicePort{}, nil
	}
	_, port := servicePort(m, sp)
	return sp, port
}

func servicePort(m *mesh.Mesh, sp mesh.ServicePort) (*mesh.Service, *mesh.Port) {
	s := service(m, sp)
	if s == nil {
		return nil, nil
	}
	for i := range s.Ports {
		if s.Ports[i].Number == sp.Port && s.Ports[i].UDP == sp.UDP {
			return s, &s.Ports[i]
		}
	}
	return nil, nil
}

func service(m *mesh.Mesh, sp mesh.ServicePort) *mesh.Service {
	if sp.XBackend {
		return m.XBackends[sp.Name]
	}
	return m.Services[sp.Name]
}

// outbound is a listener in our own words.
type outbound struct {
	name     string
	dst      netip.AddrPort
	origin   mesh.Origin
	protocol mesh.Protocol
	routes   string // empty: all to cluster
	cluster  string
	service  string
	sessions bool              // routes keep some
	own      *mesh.Persistence // of the cluster, where there are no routes
}

func (o outbound) listener() *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:       o.name,
		Address:    address(o.dst),
		BindToPort: wrapperspb.Bool(false), // connections come by redirection
		Metadata: metadata{}.set(KeyOrigin, origin(o.origin)).
			set(KeyListener, fields{}.text("protocol", string(o.protocol)).text("service", o.service).text("cluster", o.cluster)).
			proto(),
	}
	switch o.protocol {
	case mesh.ProtocolHTTP, mesh.ProtocolHTTP2:
		l.FilterChains = []*listenerv3.FilterChain{o.http()}
	case mesh.ProtocolTLS, mesh.ProtocolTCP:
		l.DefaultFilterChain = tcp(o.cluster)
	default:
		l.ListenerFilters = []*listenerv3.ListenerFilter{httpInspector()}
		chain := o.http()
		chain.FilterChainMatch = &listenerv3.FilterChainMatch{ApplicationProtocols: []string{"http/1.0", "http/1.1", "h2c"}}
		l.FilterChains = []*listenerv3.FilterChain{chain}
		l.DefaultFilterChain = tcp(o.cluster)
	}
	return l
}

// connections is the listener for a port whose connections are routed as a whole: by server name, or all by weight.
func (o outbound) connections(l4 *mesh.L4) *listenerv3.Listener {
	if l4.Split == nil {
		o.protocol, o.cluster = mesh.ProtocolTLS, ""
		l := o.listener()
		l.DefaultFilterChain = nil // names that no route has are refused
		l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector()}
		for _, s := range l4.Servers {
			chain := splitTCP(o.name, s.Split)
			chain.Name = anyOr(s.Name)
			chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
			if s.Name != "" {
				chain.FilterChainMatch.ServerNames = []string{s.Name}
			}
			l.FilterChains = append(l.FilterChains, chain)
		}
		return l
	}
	o.protocol, o.origin, o.cluster = mesh.ProtocolTCP, l4.Split.Origin, ""
	if all := shares(l4.Split); len(all) == 1 {
		o.cluster = all[0].cluster
	}
	l := o.listener()
	l.DefaultFilterChain = splitTCP(o.name, l4.Split)
	l.DefaultFilterChain.Metadata = nil // as the listener's
	return l
}

func (o outbound) http() *listenerv3.FilterChain {
	hcm := connectionManager(o.name) // of either version: what the endpoints get is the cluster's business
	if o.routes == "" {
		table := allTo(o.cluster)
		if o.own != nil {
			o.sessions, table.VirtualHosts[0].Routes[0].TypedPerFilterConfig = true, statefulFilter(o.own)
		}
		hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: table}
	} else {
		hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads(), RouteConfigName: o.routes}}
	}
	if o.sessions {
		keepSessions(hcm)
	}
	return networkFilter("envoy.filters.network.http_connection_manager", hcm)
}

// allTo is a table for a destination that no route is attached to.
func allTo(cluster string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: cluster, VirtualHosts: []*routev3.VirtualHost{{
		Name: anyHost, Domains: []string{anyHost},
		Routes: []*routev3.Route{{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
				Timeout:          noTimeout(),
				RetryPolicy:      unprocessed(),

				MaxStreamDuration: callDeadline(0),
			}},
		}},
	}}}
}

func tcp(cluster string) *listenerv3.FilterChain {
	return networkFilter("envoy.filters.network.tcp_proxy", &tcpv3.TcpProxy{
		StatPrefix:       statPrefix(cluster),
		ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster},
	})
}

func networkFilter(name string, config proto.Message) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(config)},
	}}}
}

func httpInspector() *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.http_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&inspectorv3.HttpInspector{})},
	}
}

// statPrefix keeps the separators of Envoy's statistic names out.
func statPrefix(name string) string { return strings.NewReplacer(":", "_", ".", "_").Replace(name) }

// pack serializes deterministically. It can only fail for text that is not UTF-8, which no message packed here takes from
// outside except as names that were matched before; an empty body then fails at the receiver.
func pack(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())}
	}
	return a
}
