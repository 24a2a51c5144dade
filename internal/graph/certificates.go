package graph

import (
	"cmp"
	"crypto/tls"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// certificate finds the Secret that an object of a kind refers to. invalid is the reason to give for what is there and not usable.
func (r *references) certificate(ref gatewayv1.SecretObjectReference, kind, namespace, invalid string) (*mesh.Certificate, *status.Problem) {
	name := mesh.Name{Namespace: namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	if group, what := deref(ref.Group), cmp.Or(deref(ref.Kind), "Secret"); group != "" || what != "Secret" {
		return nil, ptr(status.Why(invalid, "%s %q cannot be a certificate: refer to a Secret of type %s", kindOf(group, what), string(ref.Name), corev1.SecretTypeTLS))
	}
	// Before anything else: whether a Secret exists is nobody's business without a grant.
	if name.Namespace != namespace && !r.granted(kind, namespace, "", "Secret", name) {
		return nil, ptr(status.Why(status.ReasonRefNotPermitted,
			"the reference to Secret %s is not permitted: its namespace needs a ReferenceGrant from %ss of %s to Secrets", name, kind, namespace))
	}
	secret := r.secrets[name]
	if secret == nil {
		return nil, ptr(status.Why(invalid, "Secret %s does not exist, or is not of type %s", name, corev1.SecretTypeTLS))
	}
	chain, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if _, err := tls.X509KeyPair(chain, key); err != nil {
		return nil, ptr(status.Why(invalid, "Secret %s holds no certificate with its key in %s and %s: %v", name, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err))
	}
	return &mesh.Certificate{Name: name, Chain: chain, Key: mesh.Key(key)}, nil
}

// kindOf is a kind as messages speak of it, "Service" or "XBackend.gateway.networking.x-k8s.io".
func kindOf(group, kind string) string {
	if group != "" {
		kind += "." + group
	}
	return kind
}
