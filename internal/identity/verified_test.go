package identity_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
)

func TestVerifiedChains(t *testing.T) {
	ca, other := must(devca.New(time.Hour)), must(devca.New(time.Hour))
	id := must(identity.New("cluster.local", "shop", "cart"))
	mine, foreign := must(ca.SVID(id, time.Minute)), must(other.SVID(id, time.Minute))
	roots, now := mine.Roots, time.Now()
	for range 2 { // the second time from memory
		if err := roots.Verify(mine.Chain, x509.ExtKeyUsageClientAuth, now); err != nil {
			t.Error(err)
		}
		if err := roots.Verify(foreign.Chain, x509.ExtKeyUsageClientAuth, now); err == nil {
			t.Error("a chain to other roots is accepted")
		}
		if err := foreign.Roots.Verify(mine.Chain, x509.ExtKeyUsageClientAuth, now); err == nil {
			t.Error("what one bundle remembers counts for another")
		}
		if err := roots.Verify(mine.Chain, x509.ExtKeyUsageCodeSigning, now); err == nil {
			t.Error("what was verified for one use counts for another")
		}
		for _, when := range []time.Time{mine.NotBefore.Add(-time.Second), mine.NotAfter.Add(time.Second)} {
			if err := roots.Verify(mine.Chain, x509.ExtKeyUsageClientAuth, when); err == nil {
				t.Errorf("accepted at %v, outside of its validity", when)
			}
		}
	}
	// A chain that is one certificate longer is another one.
	longer := append(append([]*x509.Certificate{}, foreign.Chain...), mine.Chain...)
	if err := roots.Verify(longer, x509.ExtKeyUsageClientAuth, now); err == nil {
		t.Error("a foreign leaf in front of a known chain is accepted")
	}
	if err := (*identity.Bundle)(nil).Verify(mine.Chain, x509.ExtKeyUsageClientAuth, now); err == nil {
		t.Error("accepted without roots")
	}
}
