// Package devca is a small certificate authority in memory: for meshes on one machine, where there is no cert-manager,
// and for tests. It is not for clusters: its key is in the process and its root dies with it.
package devca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
)

// backdate is how far before now certificates begin, for clocks that disagree a little.
const backdate = time.Minute

// CA is a self-signed root that signs leaves directly.
type CA struct {
	root *x509.Certificate
	key  crypto.Signer
}

// New makes a root that is valid for lifetime from now.
func New(lifetime time.Duration) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("development CA: key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Leno development CA"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("development CA: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("development CA: %w", err)
	}
	return &CA{root: root, key: key}, nil
}

// Bundle is the root as a trust bundle.
func (ca *CA) Bundle() *identity.Bundle { return identity.NewBundle(ca.root) }

// Workload signs an X.509-SVID (PEM) for id and the public key. It never outlives the root.
func (ca *CA) Workload(id identity.ID, public crypto.PublicKey, lifetime time.Duration) ([]byte, error) {
	return ca.leaf(public, lifetime, &x509.Certificate{URIs: []*url.URL{id.URL()}})
}

// SVID makes a key and an SVID for it.
func (ca *CA) SVID(id identity.ID, lifetime time.Duration) (*identity.SVID, error) {
	key, err := identity.NewKey()
	if err != nil {
		return nil, err
	}
	chain, err := ca.Workload(id, key.Public(), lifetime)
	if err != nil {
		return nil, err
	}
	return identity.NewSVID(chain, key, ca.Bundle())
}

// Server makes a serving certificate for DNS names and IP addresses.
func (ca *CA) Server(lifetime time.Duration, names ...string) (*tls.Certificate, error) {
	key, err := identity.NewKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	chain, err := ca.leaf(key.Public(), lifetime, template)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(chain)
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, nil
}

// PEM is a certificate of Server and its key (PKCS #8), as Secrets of type kubernetes.io/tls hold them.
func PEM(c *tls.Certificate) (chain, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("development CA: key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func (ca *CA) leaf(public crypto.PublicKey, lifetime time.Duration, template *x509.Certificate) ([]byte, error) {
	now := time.Now()
	template.SerialNumber = serial()
	template.NotBefore = now.Add(-min(backdate, lifetime))
	template.NotAfter = now.Add(lifetime)
	if template.NotAfter.After(ca.root.NotAfter) {
		template.NotAfter = ca.root.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, ca.root, public, ca.key)
	if err != nil {
		return nil, fmt.Errorf("development CA: sign: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// serial is 120 random bits: unique without keeping state (RFC 5280, section 4.1.2.2 allows 20 octets).
func serial() *big.Int {
	raw := make([]byte, 15)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return new(big.Int).SetBytes(raw)
}
