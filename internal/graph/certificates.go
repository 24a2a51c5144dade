package graph

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// Keys of certificates in Secrets and ConfigMaps.
const (
	keyAuthority = "ca.crt"
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

// authority finds the authorities that an object of a kind refers to, in PEM. invalidRef and invalidKind are the reasons to give.
func (r *references) authority(ref gatewayv1.ObjectReference, kind, namespace, invalidRef, invalidKind string) ([]byte, *status.Problem) {
	name := mesh.Name{Namespace: namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	what := string(ref.Kind)
	if ref.Group != "" || what != "ConfigMap" && what != "Secret" {
		return nil, ptr(status.Why(invalidKind, "%s %q cannot hold authorities: refer to a ConfigMap with a key %s", kindOf(string(ref.Group), what), name.Name, keyAuthority))
	}
	if name.Namespace != namespace && !r.granted(kind, namespace, "", what, name) {
		return nil, ptr(status.Why(status.ReasonRefNotPermitted,
			"the reference to %s %s is not permitted: its namespace needs a ReferenceGrant from %ss of %s to %ss", what, name, kind, namespace, what))
	}
	var roots []byte
	found := false
	if what == "ConfigMap" {
		if c := r.configMaps[name]; c != nil {
			roots, found = []byte(c.Data[keyAuthority]), true
		}
	} else if s := r.secrets[name]; s != nil {
		roots, found = s.Data[keyAuthority], true
	}
	switch {
	case !found:
		return nil, ptr(status.Why(invalidRef, "%s %s does not exist", what, name))
	case !hasCertificates(roots):
		return nil, ptr(status.Why(invalidRef, "%s %s has no certificates in PEM under the key %s", what, name, keyAuthority))
	}
	return roots, nil
}

// hasCertificates tells whether everything in a text that calls itself a certificate is one, and that there is one.
func hasCertificates(text []byte) bool {
	n := 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return n > 0 && len(bytes.TrimSpace(text)) == 0
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return false
		}
		n++
	}
}

// kindOf is a kind as messages speak of it, "Service" or "XBackend.gateway.networking.x-k8s.io".
func kindOf(group, kind string) string {
	if group != "" {
		kind += "." + group
	}
	return kind
}
