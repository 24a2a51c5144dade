package enroll

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/leno-mesh/leno/internal/identity"
)

// Limits of a certificate request.
const (
	MaxCSR     = 16 << 10 // bytes of DER: an RSA-8192 request has about 2 KiB
	minRSABits = 2048     // NIST SP 800-131A
	maxRSABits = 8192     // verifying larger ones costs the manager too much
	minECBits  = 256
)

// ErrOtherIdentity says that a request is well-formed, but for somebody else.
var ErrOtherIdentity = errors.New("the request is for another identity")

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// CheckCSR accepts a PKCS #10 request that asks for want and for nothing else: its signature is good, its key is strong,
// its subject is empty, and its only extension is a subject alternative name with one URI, the SPIFFE id. An error that
// wraps [ErrOtherIdentity] is a denial; every other one says what is malformed.
func CheckCSR(der []byte, want identity.ID) error {
	if len(der) > MaxCSR {
		return fmt.Errorf("request of %d bytes, the limit is %d", len(der), MaxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return fmt.Errorf("not a PKCS #10 request in DER: %w", err)
	}
	// The key's size first: checking a signature of a huge key is work.
	if err := checkKey(csr.PublicKey); err != nil {
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("signature of the request: %w", err)
	}
	if len(csr.Subject.Names) != 0 {
		return fmt.Errorf("subject %.100q: must be empty, the identity is the URI name", csr.Subject)
	}
	if err := checkExtensions(csr); err != nil {
		return err
	}
	asked, err := identity.Parse(csr.URIs[0].String())
	if err != nil {
		return err
	}
	if asked != want {
		return fmt.Errorf("asks for %s, the token belongs to %s: %w", asked, want, ErrOtherIdentity)
	}
	return nil
}

func checkKey(public any) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < minECBits {
			return fmt.Errorf("ECDSA key of %d bits: use P-256 or better", bits)
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA key of %d bits: use %d to %d, or ECDSA P-256", bits, minRSABits, maxRSABits)
		}
	default:
		return fmt.Errorf("key of type %T: use ECDSA P-256, Ed25519 or RSA", public)
	}
	return nil
}

// checkExtensions looks at the raw extension: crypto/x509 drops the kinds of name that it does not know.
func checkExtensions(csr *x509.CertificateRequest) error {
	if len(csr.Extensions) != 1 || !csr.Extensions[0].Id.Equal(oidSubjectAltName) {
		return fmt.Errorf("%d extensions: the subject alternative name must be the only one", len(csr.Extensions))
	}
	var names []asn1.RawValue
	if _, err := asn1.Unmarshal(csr.Extensions[0].Value, &names); err != nil {
		return fmt.Errorf("subject alternative name: %w", err)
	}
	if len(names) != 1 || len(csr.URIs) != 1 {
		return fmt.Errorf("%d alternative names, %d of them URIs: exactly one URI and no DNS, IP, email or other name is allowed",
			len(names), len(csr.URIs))
	}
	return nil
}
