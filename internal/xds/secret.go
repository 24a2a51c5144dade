package xds

import (
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// TrustBundle is the secret with the roots of the mesh, in PEM.
func TrustBundle(pem []byte) (Resource, error) {
	return Seal(SecretType, TrustBundleName, validation(TrustBundleName, pem))
}

func validation(name string, roots []byte) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(roots)},
	}}
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}

// Secret is a certificate with its key, or the roots that clients are verified with. Only proxies of gateways that refer to a
// secret get it: nil for everybody else.
func Secret(m *mesh.Mesh, who mesh.Name, name string) *tlsv3.Secret {
	g := gatewayOf(m, who)
	if g == nil {
		return nil
	}
	if strings.HasPrefix(name, clientRootsPrefix) {
		for i := range g.Ports {
			for _, l := range g.Ports[i].Listeners {
				if l.TLS != nil && l.TLS.Clients != nil && clientRootsName(g.Ports[i].Number, l) == name {
					return validation(name, l.TLS.Clients.Roots)
				}
			}
		}
		return nil
	}
	c := certificate(m, g, name)
	if c == nil {
		return nil
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(c.Chain), PrivateKey: inline(c.Key)},
	}}
}

// certificate finds a certificate that the gateway refers to.
func certificate(m *mesh.Mesh, g *mesh.Gateway, name string) *mesh.Certificate {
	if c := g.ClientCertificate; c != nil && CertificateName(c.Name) == name {
		return c
	}
	for i := range g.Ports {
		for _, l := range g.Ports[i].Listeners {
			if c := shown(m, l, name); c != nil {
				return c
			}
			if l.TLS == nil {
				continue
			}
			for _, c := range l.TLS.Certificates {
				if CertificateName(c.Name) == name {
					return c
				}
			}
		}
	}
	return nil
}

func clientRootsName(port uint16, l *mesh.Listener) string {
	return clientRootsPrefix + strconv.Itoa(int(port)) + "/" + anyOr(l.Hostname)
}

// termination is the server's end of TLS of a gateway's listener.
func termination(l *mesh.Listener, p *mesh.GatewayPort, alpn []string) *corev3.TransportSocket {
	common := &tlsv3.CommonTlsContext{AlpnProtocols: alpn}
	for _, c := range l.TLS.Certificates {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs,
			&tlsv3.SdsSecretConfig{Name: CertificateName(c.Name), SdsConfig: ads()})
	}
	context := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	if clients := l.TLS.Clients; clients != nil {
		combined := &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{},
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: clientRootsName(p.Number, l), SdsConfig: ads()},
		}
		if clients.Fallback {
			combined.DefaultValidationContext.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
		}
		common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: combined}
		context.RequireClientCertificate = wrapperspb.Bool(!clients.Fallback)
	}
	return tlsSocket(pack(context))
}
