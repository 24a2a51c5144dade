package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// What begins the names of secrets of gateways.
const (
	CertificatePrefix = "certificate/"
	ClientRootsPrefix = "client-roots/"
)

// maxPEM bounds the text of a certificate, a key or a set of roots: Kubernetes bounds the objects that they come from.
const maxPEM = 1 << 20

// Certificate is a certificate with its private key. What can be seen of it from outside, by %v and in JSON too, is no secret.
type Certificate struct {
	Name     string
	Version  string
	Subjects []string // names that it is for
	NotAfter time.Time

	pair *tls.Certificate
}

// TLS is the certificate as a handshake needs it.
func (c *Certificate) TLS() *tls.Certificate { return c.pair }

// String hides the key.
func (c *Certificate) String() string { return "certificate " + c.Name }

// GoString hides the key.
func (c *Certificate) GoString() string { return c.String() }

// Roots are authorities that clients of a gateway are verified with.
type Roots struct {
	Name    string
	Version string
	// Count is how many they are. With 0, no client can be verified.
	Count int

	pool *x509.CertPool
}

// Pool is the authorities as verification needs them.
func (r *Roots) Pool() *x509.CertPool { return r.pool }

// decodeBundle reads an envoy.extensions.transport_sockets.tls.v3.Secret with a validation context.
func decodeBundle(name string, body []byte) (pem []byte, err error) {
	pem, err = decodeRoots(name, body)
	if err == nil && len(pem) == 0 {
		err = fmt.Errorf("field validation_context.trusted_ca.inline_bytes is empty")
	}
	return pem, err
}

func decodeRoots(name string, body []byte) (text []byte, err error) {
	err = read(body, func(m *message) {
		m.named("name", name)
		context := m.sub(4, "validation_context")
		if context == nil {
			m.fail("has no validation_context")
		}
		text = slices.Clone(context.inline(1, "trusted_ca"))
		context.done()
		m.done()
	})
	return text, err
}

// inline is the text in a DataSource.
func (m *message) inline(number protowire.Number, label string) []byte {
	source := m.sub(number, label)
	text := source.bytes(2, "inline_bytes")
	if len(text) > maxPEM {
		source.fail("field inline_bytes has more than %d bytes", maxPEM)
	}
	source.done()
	return text
}

// decodeClientRoots reads the roots of a listener. What is no certificate among them is left out: who made the configuration has
// told about it.
func decodeClientRoots(name string, body []byte) (*Roots, error) {
	text, err := decodeRoots(name, body)
	if err != nil {
		return nil, err
	}
	r := &Roots{Name: name}
	r.pool, r.Count = pool(text)
	return r, nil
}

// pool reads all certificates that can be read.
func pool(text []byte) (*x509.CertPool, int) {
	all, count := x509.NewCertPool(), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all.AddCert(c)
			count++
		}
	}
	return all, count
}

// decodeCertificate reads a Secret with a TLS certificate. Errors hold nothing of the key.
func decodeCertificate(name string, body []byte) (*Certificate, error) {
	var chain, key []byte
	err := read(body, func(m *message) {
		m.named("name", name)
		both := m.sub(2, "tls_certificate")
		if both == nil {
			m.fail("has no tls_certificate")
		}
		chain, key = both.inline(1, "certificate_chain"), both.inline(2, "private_key")
		both.done()
		m.done()
	})
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("field tls_certificate: %w", err)
	}
	return &Certificate{Name: name, Subjects: pair.Leaf.DNSNames, NotAfter: pair.Leaf.NotAfter, pair: &pair}, nil
}
