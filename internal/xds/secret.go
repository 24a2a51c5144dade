package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// TrustBundle is the secret with the roots of the mesh, in PEM.
func TrustBundle(pem []byte) (Resource, error) {
	return Seal(SecretType, TrustBundleName, &tlsv3.Secret{
		Name: TrustBundleName,
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pem}},
		}},
	})
}
