package contender

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
)

// Certificates of one run: the same for all contenders, ECDSA on P-256 as everywhere in the mesh. Besides the SPIFFE id
// they carry a DNS name, because nginx can verify nothing else.
type Certificates struct {
	Roots          string // PEM file
	Client, Server Certificate
	ClientID       identity.ID
	ServerID       identity.ID
}

// lifetime is longer than any run.
const lifetime = 24 * time.Hour

// NewCertificates makes an authority and the certificates of both sidecars, as files in dir.
func NewCertificates(dir string) (*Certificates, error) {
	ca, err := identity.NewKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "benchmark"}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(lifetime), KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ca.Public(), ca)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	c := &Certificates{Roots: filepath.Join(dir, "roots.pem")}
	if err := os.WriteFile(c.Roots, encode("CERTIFICATE", der), 0o600); err != nil {
		return nil, err
	}
	sign := func(serial int64, account string) (identity.ID, Certificate, error) {
		id, err := identity.New("cluster.local", "bench", account)
		if err != nil {
			return id, Certificate{}, err
		}
		key, err := identity.NewKey()
		if err != nil {
			return id, Certificate{}, err
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(serial), NotBefore: template.NotBefore, NotAfter: template.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			URIs:        []*url.URL{id.URL()}, DNSNames: []string{ServerName},
		}, root, key.Public(), ca)
		if err != nil {
			return id, Certificate{}, err
		}
		files, err := save(dir, account, der, key.(*ecdsa.PrivateKey)) // identity.NewKey makes no other
		return id, files, err
	}
	if c.ClientID, c.Client, err = sign(2, "client"); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if c.ServerID, c.Server, err = sign(3, "server"); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

func save(dir, name string, der []byte, key *ecdsa.PrivateKey) (Certificate, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	chain, private := encode("CERTIFICATE", der), encode("PRIVATE KEY", raw)
	base := filepath.Join(dir, name)
	c := Certificate{Chain: base + ".pem", Key: base + "-key.pem", Both: base + "-both.pem"}
	for path, text := range map[string][]byte{c.Chain: chain, c.Key: private, c.Both: append(chain[:len(chain):len(chain)], private...)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return Certificate{}, err
		}
	}
	return c, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
