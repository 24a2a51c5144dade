package certificates

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
)

// NextBundle is what everybody should trust now: what was trusted before and has not expired, and the additions. A root
// is never dropped before it expires, because certificates that it signed may still be in use; to distrust one earlier,
// take it out of the ConfigMap in leno-system by hand once it signs nothing any more.
func NextBundle(now time.Time, before *identity.Bundle, additions ...*identity.Bundle) *identity.Bundle {
	all := identity.Union(append(additions, before)...)
	return identity.NewBundle(slices.DeleteFunc(slices.Clone(all.Roots()), func(c *x509.Certificate) bool {
		return !c.NotAfter.After(now)
	})...)
}

// Staging is what decides when a new CA may sign.
type Staging struct {
	// Next is the certificate of the CA that cert-manager made last, Current that of the one in use; nil when there is none.
	Next, Current *x509.Certificate
	// Since is when Next was first put into the trust bundle; zero when it is not in yet.
	Since time.Time
	// Propagation is how long a new root takes to reach every sidecar, also those without a connection to the manager.
	Propagation time.Duration
}

// Promote tells whether the next CA should be put into use now, and if not, how long to wait before asking again; 0 means
// that there is nothing to wait for. The first CA of a mesh is put into use at once: nobody trusts anything else yet.
// So is one whose predecessor has expired.
func Promote(now time.Time, s Staging) (promote bool, wait time.Duration) {
	switch {
	case s.Next == nil, s.Current != nil && s.Next.Equal(s.Current):
		return false, 0
	case s.Current == nil, !s.Current.NotAfter.After(now):
		return true, 0
	case s.Since.IsZero():
		return false, s.Propagation
	}
	wait = s.Since.Add(s.Propagation).Sub(now)
	return wait <= 0, max(wait, 0)
}

// fingerprint names a certificate.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
