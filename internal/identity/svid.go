package identity

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// SVID is a workload's certificate, its key, and the roots that peers are checked against. It is immutable. Printing or
// encoding one shows its id and lifetime, never the key.
type SVID struct {
	ID        ID
	Chain     []*x509.Certificate // leaf first, without the root
	Key       crypto.Signer
	Roots     *Bundle
	NotBefore time.Time
	NotAfter  time.Time

	certificate tls.Certificate
}

// Source hands out the current identity. It is asked at each handshake, so rotation needs no new connections and no new
// tls.Config. It is safe for concurrent use and does not block.
type Source interface {
	Identity() (*SVID, error)
}

// Fixed is a Source that never changes, for tests and for tools.
type Fixed struct{ SVID *SVID }

// Identity returns the one SVID.
func (f Fixed) Identity() (*SVID, error) {
	if f.SVID == nil {
		return nil, ErrNoIdentity
	}
	return f.SVID, nil
}

// ErrNoIdentity says that no certificate was issued yet.
var ErrNoIdentity = errors.New("no workload certificate yet")

// NewSVID reads a PEM chain (leaf first), checks that the leaf is a usable X.509-SVID for key (X.509-SVID specification,
// sections 2 to 5) and joins it with its roots.
func NewSVID(chainPEM []byte, key crypto.Signer, roots *Bundle) (*SVID, error) {
	chain, err := ParseCertificates(chainPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate chain: %w", err)
	}
	leaf := chain[0]
	id, err := LeafID(leaf)
	if err != nil {
		return nil, err
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, fmt.Errorf("certificate of %s: made for another key than ours", id)
	}
	if roots == nil {
		return nil, fmt.Errorf("certificate of %s: came without trust bundle", id)
	}
	certificate := tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		certificate.Certificate = append(certificate.Certificate, c.Raw)
	}
	return &SVID{
		ID: id, Chain: chain, Key: key, Roots: roots,
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, certificate: certificate,
	}, nil
}

// WithRoots is the same certificate with other roots.
func (s *SVID) WithRoots(roots *Bundle) *SVID {
	next := *s
	next.Roots = roots
	return &next
}

// TLS is the certificate in the form of crypto/tls.
func (s *SVID) TLS() *tls.Certificate { return &s.certificate }

// String shows what may be shown.
func (s *SVID) String() string {
	return fmt.Sprintf("SVID(%s until %s)", s.ID, s.NotAfter.UTC().Format(time.RFC3339))
}

// GoString keeps %#v from printing the key.
func (s *SVID) GoString() string { return s.String() }

// MarshalJSON keeps encoders from writing the key.
func (s *SVID) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LeafID reads the SPIFFE id of a leaf certificate: exactly one URI name, no CA, no right to sign certificates.
func LeafID(leaf *x509.Certificate) (ID, error) {
	if len(leaf.URIs) != 1 {
		return ID{}, fmt.Errorf("certificate has %d URI names, an X.509-SVID has exactly one", len(leaf.URIs))
	}
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return ID{}, fmt.Errorf("certificate of %.300q may sign certificates: not a workload's", leaf.URIs[0])
	}
	return Parse(leaf.URIs[0].String())
}

// maxCertificates bounds a PEM bundle or chain.
const maxCertificates = 64

// ParseCertificates reads the CERTIFICATE blocks of a PEM text; other kinds of block are refused, so that a key put into
// a bundle by mistake is noticed.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %.40q where only CERTIFICATE is expected", block.Type)
		}
		if len(found) == maxCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(found)+1, err)
		}
		found, text = append(found, c), rest
	}
	if len(found) == 0 {
		return nil, errors.New("no CERTIFICATE block in PEM text")
	}
	return found, nil
}
