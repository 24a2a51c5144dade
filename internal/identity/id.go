// Package identity is who a workload is in the mesh: SPIFFE ids, X.509-SVIDs, trust bundles, the TLS configurations
// built from them, and when a certificate is due for renewal. It knows no Kubernetes and no transport but crypto/tls.
package identity

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// ID is the SPIFFE id of a workload. It is a comparable value: two ids are the same when they are ==.
type ID struct {
	TrustDomain    string
	Namespace      string
	ServiceAccount string
}

// maxPart is the longest name that Kubernetes allows for a namespace (63) or service account (253).
const maxPart = 253

// Parse reads "spiffe://<trust domain>/ns/<namespace>/sa/<service account>" and nothing else: no query, fragment,
// port, user info, empty or dot segment, and no character that the SPIFFE-ID specification (section 2) does not allow.
func Parse(s string) (ID, error) {
	parsed, err := spiffeid.FromString(s)
	if err != nil {
		return ID{}, fmt.Errorf("SPIFFE id %.300q: %w", s, err)
	}
	parts := strings.Split(parsed.Path(), "/")
	if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return ID{}, fmt.Errorf("SPIFFE id %.300q: the path must be /ns/<namespace>/sa/<service account>", s)
	}
	return New(parsed.TrustDomain().Name(), parts[2], parts[4])
}

// New checks the parts and joins them into an ID.
func New(trustDomain, namespace, serviceAccount string) (ID, error) {
	if _, err := spiffeid.TrustDomainFromString(trustDomain); err != nil || strings.Contains(trustDomain, "/") {
		return ID{}, fmt.Errorf("trust domain %.300q: use lower-case letters, digits, dots, dashes and underscores", trustDomain)
	}
	for _, part := range [...]string{namespace, serviceAccount} {
		if len(part) > maxPart {
			return ID{}, fmt.Errorf("SPIFFE id part %.40q...: longer than %d bytes", part, maxPart)
		}
		if err := spiffeid.ValidatePathSegment(part); err != nil {
			return ID{}, fmt.Errorf("SPIFFE id part %.300q: %w", part, err)
		}
	}
	return ID{TrustDomain: trustDomain, Namespace: namespace, ServiceAccount: serviceAccount}, nil
}

// String is the id as a URI.
func (id ID) String() string {
	if id == (ID{}) {
		return ""
	}
	return "spiffe://" + id.TrustDomain + "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount
}

// URL is the id as certificates carry it.
func (id ID) URL() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: id.TrustDomain, Path: "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount}
}
