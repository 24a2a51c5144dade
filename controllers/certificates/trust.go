package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
)

// Trust is what a replica knows of the chain at the moment: every connection asks it anew, so that nothing has to be
// restarted when something is renewed. The zero value knows nothing yet.
type Trust struct {
	serving atomic.Pointer[tls.Certificate]
	roots   atomic.Pointer[identity.Bundle]
	signing atomic.Pointer[x509.Certificate]
}

// ErrNoServingCertificate says that cert-manager has not issued the manager's certificate yet.
var ErrNoServingCertificate = errors.New("the manager has no certificate yet: cert-manager has not issued Certificate leno-manager in leno-system")

// Serving is the manager's own certificate.
func (t *Trust) Serving() (*tls.Certificate, error) {
	if c := t.serving.Load(); c != nil {
		return c, nil
	}
	return nil, ErrNoServingCertificate
}

// Roots is the trust bundle; empty when there is none yet.
func (t *Trust) Roots() *identity.Bundle {
	if b := t.roots.Load(); b != nil {
		return b
	}
	return identity.NewBundle()
}

// lifetime of a workload's certificate that is asked for now: what the Mesh says, but never beyond the end of the
// operator's own CA. An issuer that the Mesh names has to see to that itself.
func (t *Trust) lifetime(s Settings, now time.Time) time.Duration {
	ca := t.signing.Load()
	if !s.Own || ca == nil {
		return s.Lifetime
	}
	return max(min(s.Lifetime, ca.NotAfter.Sub(now)-expiryMargin), expiryMargin)
}
