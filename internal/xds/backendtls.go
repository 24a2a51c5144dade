package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// SystemRoots is the file with the authorities that a proxy's own image trusts.
const SystemRoots = "/etc/ssl/certs/ca-certificates.crt"

// origination is the client's end of TLS from a gateway, or (g nil) a sidecar, to the endpoints of a port. Names are compared as values.
func origination(g *mesh.Gateway, t *mesh.BackendTLS, protocol mesh.Protocol) *corev3.TransportSocket {
	expect := &tlsv3.CertificateValidationContext{}
	name := func(kind tlsv3.SubjectAltNameMatcher_SanType, value string) {
		expect.MatchTypedSubjectAltNames = append(expect.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
			SanType: kind, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}},
		})
	}
	switch {
	case t.Fail != nil:
		name(tlsv3.SubjectAltNameMatcher_DNS, FailCluster) // no certificate has it: Envoy sends nothing
	case len(t.SANs) == 0:
		name(tlsv3.SubjectAltNameMatcher_DNS, t.Hostname)
	}
	for _, san := range t.SANs {
		if san.URI != "" {
			name(tlsv3.SubjectAltNameMatcher_URI, san.URI)
		} else {
			name(tlsv3.SubjectAltNameMatcher_DNS, san.DNS)
		}
	}
	if t.Roots == nil {
		expect.TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: SystemRoots}}
	} else {
		expect.TrustedCa = inline(t.Roots)
	}
	common := &tlsv3.CommonTlsContext{
		AlpnProtocols:         backendALPN(protocol),
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: expect},
	}
	certificate := t.Certificate
	if certificate == nil && g != nil {
		certificate = g.ClientCertificate
	}
	if c := certificate; c != nil && g != nil {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{{Name: CertificateName(c.Name), SdsConfig: ads()}}
	}
	return tlsSocket(pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: t.Hostname}))
}

// backendALPN is what a gateway offers in TLS to endpoints. Where the port is not one for HTTP, it is nobody's business.
func backendALPN(protocol mesh.Protocol) []string {
	switch protocol {
	case mesh.ProtocolHTTP2:
		return []string{"h2"}
	case mesh.ProtocolHTTP, mesh.ProtocolUndeclared:
		return []string{"http/1.1"}
	default:
		return nil
	}
}

func tlsSocket(context *anypb.Any) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: context},
	}
}
