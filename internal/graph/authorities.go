package graph

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"

	certificatesv1 "k8s.io/api/certificates/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// keyAuthority is the key of authorities in Secrets and ConfigMaps.
const keyAuthority = "ca.crt"

// maxAuthorities is how much one object may name together, in bytes of PEM: what the API server takes in one ConfigMap or
// ClusterTrustBundle. All public authorities that browsers know are a fifth of it.
const maxAuthorities = 1 << 20

// referrer is an object that refers to authorities, and the reasons that its status gives.
type referrer struct {
	kind, namespace         string
	invalidRef, invalidKind string
}

// authorities finds what all the references of one object name, in PEM, and what is wrong with some of them.
func (r *references) authorities(in []gatewayv1.ObjectReference, by referrer) (roots []byte, problems []status.Problem) {
	for _, ref := range in {
		some, wrong := r.authority(ref, by)
		if wrong == nil && len(roots)+len(some) > maxAuthorities {
			wrong = ptr(status.Why(by.invalidRef, "%s %q: all authorities together are more than %d bytes", ref.Kind, string(ref.Name), maxAuthorities))
		}
		if wrong != nil {
			problems = append(problems, *wrong)
			continue
		}
		roots = append(append(roots, some...), '\n')
	}
	return roots, problems
}

// authority finds the authorities that one reference names.
func (r *references) authority(ref gatewayv1.ObjectReference, by referrer) ([]byte, *status.Problem) {
	name := mesh.Name{Namespace: by.namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	what := string(ref.Kind)
	if string(ref.Group) == certificatesv1.GroupName && what == "ClusterTrustBundle" {
		return r.trustBundle(ref, by)
	}
	if ref.Group != "" || what != "ConfigMap" && what != "Secret" {
		return nil, ptr(status.Why(by.invalidKind, "%s %q cannot hold authorities: refer to a ConfigMap with a key %s, or to a ClusterTrustBundle",
			kindOf(string(ref.Group), what), name.Name, keyAuthority))
	}
	if name.Namespace != by.namespace && !r.granted(by.kind, by.namespace, "", what, name) {
		return nil, ptr(status.Why(status.ReasonRefNotPermitted,
			"the reference to %s %s is not permitted: its namespace needs a ReferenceGrant from %ss of %s to %ss", what, name, by.kind, by.namespace, what))
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
		return nil, ptr(status.Why(by.invalidRef, "%s %s does not exist", what, name))
	case !hasCertificates(roots):
		return nil, ptr(status.Why(by.invalidRef, "%s %s has no certificates in PEM under the key %s", what, name, keyAuthority))
	}
	return roots, nil
}

// trustBundle finds the authorities of a ClusterTrustBundle. Everybody in a cluster may read those, so no grant is needed (GEP-5075).
func (r *references) trustBundle(ref gatewayv1.ObjectReference, by referrer) ([]byte, *status.Problem) {
	bundle := r.trustBundles[mesh.Name{Name: string(ref.Name)}]
	switch {
	case !r.trustBundlesThere:
		return nil, ptr(status.Why(by.invalidKind, "the cluster has no ClusterTrustBundles (%s): refer to a ConfigMap with a key %s",
			certificatesv1.SchemeGroupVersion, keyAuthority))
	case ref.Namespace != nil:
		return nil, ptr(status.Why(by.invalidRef, "ClusterTrustBundle %q is in no namespace: leave the namespace out of the reference", string(ref.Name)))
	case bundle == nil:
		return nil, ptr(status.Why(by.invalidRef, "ClusterTrustBundle %q does not exist", string(ref.Name)))
	}
	roots := []byte(bundle.Spec.TrustBundle)
	if !hasCertificates(roots) {
		return nil, ptr(status.Why(by.invalidRef, "ClusterTrustBundle %q has no certificates in PEM in spec.trustBundle", string(ref.Name)))
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
