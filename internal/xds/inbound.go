package xds

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	origdstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// inboundPort is where redirected inbound connections arrive in the pod.
const inboundPort = 15006

// inbound is how the asking pod receives: mutual TLS where a sidecar dials; plain text as well unless the mesh is strict.
// What it decides stands in metadata (KeyInbound, KeyProxy); the filter chains say the same in Envoy's words.
func inbound(m *mesh.Mesh, who mesh.Name) *listenerv3.Listener {
	w := m.Workloads[who]
	if w == nil {
		return nil
	}
	strict := m.Settings.MTLS == mesh.MTLSStrict
	protocols := fields{}
	for port, p := range w.Protocols {
		protocols.text(strconv.Itoa(int(port)), string(p))
	}
	l := &listenerv3.Listener{
		Name:           InboundName,
		Address:        address(netip.AddrPortFrom(netip.IPv4Unspecified(), inboundPort)),
		UseOriginalDst: wrapperspb.Bool(false), // handled by the listener filter, in place
		ListenerFilters: []*listenerv3.ListenerFilter{
			{
				Name:       "envoy.filters.listener.original_dst",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&origdstv3.OriginalDst{})},
			},
			tlsInspector(),
		},
		FilterChains: []*listenerv3.FilterChain{
			mutualTLS(inboundHTTP(hcmv3.HttpConnectionManager_AUTO), alpnHTTP1),
			mutualTLS(inboundHTTP(hcmv3.HttpConnectionManager_HTTP2), alpnHTTP2),
			mutualTLS(tcp(InboundName), alpnTCP),
		},
		Metadata: metadata{}.set(KeyOrigin, origin(m.Settings.Origin)).
			set(KeyWorkload, workload(w, w.Identity)).
			set(KeyInbound, fields{"strict": structpb.NewBoolValue(strict)}.nested("protocols", protocols)).
			set(KeyProxy, fields{
				"outbound":   structpb.NewStringValue(string(m.Settings.Outbound)),
				"access_log": structpb.NewBoolValue(m.Settings.AccessLog),
			}).proto(),
	}
	if strict {
		return l
	}
	for _, port := range slices.Sorted(maps.Keys(w.Protocols)) {
		if p := w.Protocols[port]; p == mesh.ProtocolHTTP || p == mesh.ProtocolHTTP2 {
			chain := inboundHTTP(hcmv3.HttpConnectionManager_AUTO)
			chain.FilterChainMatch = &listenerv3.FilterChainMatch{
				DestinationPort: wrapperspb.UInt32(uint32(port)), TransportProtocol: "raw_buffer",
			}
			l.FilterChains = append(l.FilterChains, chain)
		}
	}
	l.DefaultFilterChain = tcp(InboundName)
	return l
}

// inboundHTTP passes requests on in the version that they came in. Envoy knows no name of ours in ALPN: where the name says HTTP/2,
// codec must say so too.
func inboundHTTP(codec hcmv3.HttpConnectionManager_CodecType) *listenerv3.FilterChain {
	hcm := connectionManager(InboundName)
	hcm.CodecType = codec
	hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: allTo(InboundName)}
	return networkFilter("envoy.filters.network.http_connection_manager", hcm)
}

// mutualTLS lets a chain take TLS connections that offer alpn, from clients with a certificate of the mesh.
func mutualTLS(chain *listenerv3.FilterChain, alpn string) *listenerv3.FilterChain {
	common := workloadTLS(nil)
	common.AlpnProtocols = []string{alpn}
	chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls", ApplicationProtocols: []string{alpn}}
	chain.TransportSocket = tlsSocket(pack(&tlsv3.DownstreamTlsContext{
		CommonTlsContext:         common,
		RequireClientCertificate: wrapperspb.Bool(true),
	}))
	return chain
}
