package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// maxVerified bounds what a bundle remembers: more peers than one workload talks to.
const maxVerified = 1024

// verified remembers which chains were found to lead to a bundle's roots, and for how long that holds. Checking two signatures costs
// more than the rest of a handshake together, and a peer shows the same chain at each of them until its certificate is renewed. That it
// also has the key is proven by each handshake anew.
type verified struct {
	mu    sync.Mutex // guards known
	known map[chainKey]span
}

// chainKey is the hash of all certificates that a peer showed, and what its leaf is used for.
type chainKey struct {
	hash  [sha256.Size]byte
	usage x509.ExtKeyUsage
}

// span is when each certificate of a chain is valid.
type span struct{ from, to time.Time }

func keyOf(chain []*x509.Certificate, usage x509.ExtKeyUsage) chainKey {
	hash := sha256.New()
	for _, c := range chain {
		hash.Write(c.Raw) // DER tells where it ends
	}
	key := chainKey{usage: usage}
	hash.Sum(key.hash[:0])
	return key
}

func (v *verified) holds(key chainKey, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.known[key]
	return ok && !now.Before(s.from) && !now.After(s.to)
}

func (v *verified) add(key chainKey, s span) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known) >= maxVerified {
		v.known = map[chainKey]span{} // what matters is soon there again
	}
	v.known[key] = s
}

// Verify checks that the chain that a peer showed, leaf first, leads to one of the roots.
func (b *Bundle) Verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	if b == nil {
		b = NewBundle()
	}
	key := keyOf(chain, usage)
	if b.verified.holds(key, now) {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{
		Roots: b.Pool(), Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return err
	}
	s := span{chain[0].NotBefore, chain[0].NotAfter}
	for _, c := range paths[0] {
		if c.NotBefore.After(s.from) {
			s.from = c.NotBefore
		}
		if c.NotAfter.Before(s.to) {
			s.to = c.NotAfter
		}
	}
	b.verified.add(key, s)
	return nil
}
