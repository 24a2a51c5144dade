package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"
)

// renewalSpread is the part of the lifetime over which renewals are spread, so that pods started together do not renew
// together.
const renewalSpread = 0.1

// Renewal is when a certificate should be renewed: at two thirds of its lifetime, earlier by up to a tenth of the
// lifetime. jitter is a random number in [0,1); 0 is the latest moment.
func Renewal(notBefore, notAfter time.Time, jitter float64) time.Time {
	lifetime := notAfter.Sub(notBefore)
	if lifetime <= 0 {
		return notBefore
	}
	early := time.Duration(float64(lifetime) * renewalSpread * min(max(jitter, 0), 1))
	return notBefore.Add(lifetime/3*2 - early)
}

// NewKey makes a key for an SVID: ECDSA on P-256. It never leaves the process.
func NewKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("workload key: %w", err)
	}
	return key, nil
}

// NewCSR is a PKCS #10 request (DER) for id alone, signed by key.
func NewCSR(key crypto.Signer, id ID) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{id.URL()}}, key)
	if err != nil {
		return nil, fmt.Errorf("certificate request for %s: %w", id, err)
	}
	return der, nil
}
