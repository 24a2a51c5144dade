package xds

import (
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// connectTimeout bounds one TCP connect: three SYNs go out in it.
const connectTimeout = 5 * time.Second

// The protocols that sidecars offer each other in ALPN.
const (
	alpnHTTP1 = "leno-http/1.1"
	alpnHTTP2 = "leno-h2"
	alpnTCP   = "leno-tcp"
)

// Cluster is the group of equal endpoints behind a service port or a pod's address; nil when the mesh has none by that
// name. Endpoints that have an identity are spoken to in mutual TLS, and must prove one of the identities that the
// cluster's endpoints have; each endpoint's own one stands in its metadata.
//
// For a gateway, a port may have TLS of its own: the gateway is then the application's peer, and the TLS goes through the mutual
// one where there is a sidecar.
func Cluster(m *mesh.Mesh, who mesh.Name, name string) *clusterv3.Cluster {
	if name == InboundName {
		return inboundCluster()
	}
	endpoints, ok := usable(m, name)
	if !ok {
		return nil
	}
	o, service, protocol := clusterFacts(m, name)
	c := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()},
		ConnectTimeout:       durationpb.New(connectTimeout),
		LbPolicy:             clusterv3.Cluster_LEAST_REQUEST,
	}
	facts := fields{}.text("service", service).text("protocol", string(protocol))
	sp, _ := parseCluster(name)
	_, port := servicePort(m, sp) // nil for a pod's address
	if port != nil {
		setTraffic(m, c, port, facts)
		setDNS(c, port)
	}
	defer func() { c.Metadata = metadata{}.set(KeyOrigin, origin(o)).set(KeyCluster, facts).proto() }()
	if g, t := originates(m, who, sp, port); t != nil {
		switch {
		case t.Fail != nil:
			facts.nested("fail", failure(*t.Fail))
		case g == nil && t.Certificate != nil:
			facts.nested("fail", failure(noClientCertificate))
		}
		c.TransportSocket = origination(g, t, protocol)
		setDeclaredVersion(c, protocol)
		return c
	}
	if gatewayOf(m, who) == nil && !declaredXBackend(sp, protocol) {
		setHTTPVersion(c, protocol)
	} else if speaksHTTP(protocol) {
		// The version that a client and the gateway agreed on says nothing about the application behind it.
		setDeclaredVersion(c, protocol)
	}
	if ids := identities(endpoints); len(ids) > 0 {
		c.TransportSocketMatches = transportSockets(ids, protocol)
	}
	return c
}

// originates is how the asking proxy, be it that of a gateway, speaks to a cluster's endpoints in TLS of their own; nil for ports
// without, and for Services where a sidecar asks.
func originates(m *mesh.Mesh, who mesh.Name, sp mesh.ServicePort, port *mesh.Port) (*mesh.Gateway, *mesh.BackendTLS) {
	g := gatewayOf(m, who)
	if port == nil || g == nil && !sp.XBackend {
		return nil, nil
	}
	return g, port.TLS
}

// clusterFacts tells what a known cluster was made from, its service port as people know it, and its protocol.
func clusterFacts(m *mesh.Mesh, name string) (mesh.Origin, string, mesh.Protocol) {
	if pod, ok := parsePodCluster(name); ok {
		w := m.Workloads[m.WorkloadByIP[pod.Addr()]]
		return w.Origin, "", w.Protocols[pod.Port()]
	}
	sp, _ := parseCluster(name)
	s, port := servicePort(m, sp)
	return s.Origin, name, port.Protocol
}

// inboundCluster hands a connection on to the address that it came in for.
func inboundCluster() *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 InboundName,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		ConnectTimeout:       durationpb.New(connectTimeout),
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
	}
	setHTTPVersion(c, mesh.ProtocolUndeclared)
	return c
}

func identities(endpoints []mesh.Endpoint) []string {
	var ids []string
	for _, e := range endpoints {
		if e.Identity != "" {
			ids = append(ids, e.Identity)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// transportSockets are mutual TLS for endpoints whose metadata says so, and plain text for the others.
func transportSockets(ids []string, protocol mesh.Protocol) []*clusterv3.Cluster_TransportSocketMatch {
	common := workloadTLS(ids)
	common.AlpnProtocols = alpnOffer(protocol)
	return []*clusterv3.Cluster_TransportSocketMatch{
		{
			Name:            "mtls",
			Match:           fields{"mtls": structpb.NewBoolValue(true)}.structure(),
			TransportSocket: tlsSocket(pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: common})),
		},
		{
			Name:  "plaintext",
			Match: &structpb.Struct{},
			TransportSocket: &corev3.TransportSocket{
				Name:       "envoy.transport_sockets.raw_buffer",
				ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&rawv3.RawBuffer{})},
			},
		},
	}
}

// workloadTLS is TLS 1.3 with the proxy's own certificate. Peers must chain to the mesh's roots and, when ids are given,
// be one of them.
func workloadTLS(ids []string) *tlsv3.CommonTlsContext {
	expect := &tlsv3.CertificateValidationContext{}
	for _, id := range ids {
		expect.MatchTypedSubjectAltNames = append(expect.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_URI,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: id}},
		})
	}
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3},
		// No sds_config: the secret is the proxy's own, from its bootstrap.
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: WorkloadSecretName}},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         expect,
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: TrustBundleName, SdsConfig: ads()},
			},
		},
	}
}

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}
