package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
)

// Bundle is a set of root certificates of the mesh's trust domain. While roots rotate it holds the old and the new one.
// It is immutable, sorted and free of duplicates.
type Bundle struct {
	roots    []*x509.Certificate
	pool     *x509.CertPool
	verified verified
}

// ParseBundle reads a PEM bundle.
func ParseBundle(text []byte) (*Bundle, error) {
	roots, err := ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	return NewBundle(roots...), nil
}

// NewBundle makes a bundle of these roots.
func NewBundle(roots ...*x509.Certificate) *Bundle {
	sorted := slices.Clone(roots)
	slices.SortFunc(sorted, func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) })
	sorted = slices.CompactFunc(sorted, func(a, b *x509.Certificate) bool { return bytes.Equal(a.Raw, b.Raw) })
	pool := x509.NewCertPool()
	for _, root := range sorted {
		pool.AddCert(root)
	}
	return &Bundle{roots: sorted, pool: pool}
}

// Union holds the roots of all the bundles; nil ones count as empty.
func Union(bundles ...*Bundle) *Bundle {
	var all []*x509.Certificate
	for _, b := range bundles {
		all = append(all, b.Roots()...)
	}
	return NewBundle(all...)
}

// Roots are the certificates of the bundle; do not change the slice.
func (b *Bundle) Roots() []*x509.Certificate {
	if b == nil {
		return nil
	}
	return b.roots
}

// Pool is the bundle in the form of crypto/x509; empty for a nil bundle. Do not change it.
func (b *Bundle) Pool() *x509.CertPool {
	if b == nil {
		return x509.NewCertPool()
	}
	return b.pool
}

// PEM is the bundle as text; the same set gives the same bytes.
func (b *Bundle) PEM() []byte {
	var out bytes.Buffer
	for _, root := range b.Roots() {
		// Writing to a bytes.Buffer cannot fail.
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	}
	return out.Bytes()
}

// Equal tells whether both hold the same roots.
func (b *Bundle) Equal(other *Bundle) bool {
	return slices.EqualFunc(b.Roots(), other.Roots(), func(x, y *x509.Certificate) bool { return bytes.Equal(x.Raw, y.Raw) })
}
