// Package pki makes the keys and certificates of a cluster. One authority signs all: clients, servers and kubelets.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime outlasts any test cluster; backdate forgives a clock that was set back.
const (
	lifetime = 10 * 365 * 24 * time.Hour
	backdate = time.Hour
)

// Request asks for one certificate and key, written as <Name>.crt and <Name>.key.
type Request struct {
	Name          string
	CommonName    string
	Organizations []string
	DNSNames      []string // of a server
	IPs           []net.IP // of a server
}

// Write makes a new authority (ca.crt, ca.key), the service account key pair (sa.key, sa.pub) and one certificate per
// request in dir. Keys are readable by the owner only.
func Write(dir string, now time.Time, requests []Request) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("key folder: %w", err)
	}
	ca, caKey, err := authority(dir, now)
	if err != nil {
		return fmt.Errorf("cluster authority: %w", err)
	}
	if err := serviceAccountKey(dir); err != nil {
		return fmt.Errorf("service account key: %w", err)
	}
	for i, r := range requests {
		if err := leaf(dir, now, int64(i+2), r, ca, caKey); err != nil {
			return fmt.Errorf("certificate %s: %w", r.Name, err)
		}
	}
	return nil
}

func authority(dir string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := newKey(dir, "ca")
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "leno-cluster-ca"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	return cert, key, writePEM(filepath.Join(dir, "ca.crt"), "CERTIFICATE", der, 0o644)
}

func leaf(dir string, now time.Time, serial int64, r Request, ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	key, err := newKey(dir, r.Name)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: r.CommonName, Organization: r.Organizations},
		NotBefore:    now.Add(-backdate),
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames:     r.DNSNames,
		IPAddresses:  r.IPs,
	}
	if len(r.DNSNames)+len(r.IPs) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, r.Name+".crt"), "CERTIFICATE", der, 0o644)
}

func serviceAccountKey(dir string) error {
	key, err := newKey(dir, "sa")
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, "sa.pub"), "PUBLIC KEY", der, 0o644)
}

func newKey(dir, name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
