package xds

import (
	"google.golang.org/protobuf/types/known/structpb"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	udpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"

	"github.com/leno-mesh/leno/internal/mesh"
)

// datagrams is a gateway's port for UDP. Envoy's proxy for it knows no weights: they stand in metadata, and its one cluster is
// the first that sessions may go to.
func datagrams(g *mesh.Gateway, p *mesh.GatewayPort, l *mesh.Listener) *listenerv3.Listener {
	from := l.Origin
	if l.Split != nil {
		from = l.Split.Origin
	}
	all := shares(l.Split)
	cluster := all[0].cluster
	backends := &structpb.ListValue{}
	for _, one := range all {
		if cluster == FailCluster {
			cluster = one.cluster
		}
		backends.Values = append(backends.Values, structpb.NewStructValue(
			fields{}.text("cluster", one.cluster).number("weight", float64(one.weight)).structure()))
	}
	return &listenerv3.Listener{
		Name:              portName(p),
		Address:           everywhere(p.Number, corev3.SocketAddress_UDP),
		UdpListenerConfig: &listenerv3.UdpListenerConfig{},
		ListenerFilters: []*listenerv3.ListenerFilter{{
			Name: "envoy.filters.udp_listener.udp_proxy",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&udpv3.UdpProxyConfig{
				StatPrefix: statPrefix(portName(p)),
				RouteSpecifier: &udpv3.UdpProxyConfig_Matcher{Matcher: &matcherv3.Matcher{
					OnNoMatch: &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
						Action: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: pack(&udpv3.Route{Cluster: cluster})},
					}},
				}},
			})},
		}},
		Metadata: metadata{}.set(KeyOrigin, origin(from)).
			set(KeyListener, fields{"backends": structpb.NewListValue(backends)}.text("service", portService(g, p))).proto(),
	}
}
