package enroll_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var cart = must(identity.New("cluster.local", "shop", "cart"))

func TestCheckCSR(t *testing.T) {
	p256 := must(identity.NewKey())
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	uri := func(s string) *url.URL { return must(url.Parse(s)) }
	own := []*url.URL{cart.URL()}
	otherName := must(asn1.Marshal([]asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(cart.String())},
		{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{0x2a, 0x03}}, // a registered id: unknown to crypto/x509
	}))

	for _, tc := range []struct {
		name string
		key  crypto.Signer
		ask  x509.CertificateRequest
		fail string // part of the error; empty: accepted
	}{
		{"ECDSA P-256", p256, x509.CertificateRequest{URIs: own}, ""},
		{"Ed25519", ed, x509.CertificateRequest{URIs: own}, ""},
		{"RSA 2048", must(rsa.GenerateKey(rand.Reader, 2048)), x509.CertificateRequest{URIs: own}, ""},
		{"RSA 1024", must(rsa.GenerateKey(rand.Reader, 1024)), x509.CertificateRequest{URIs: own}, "RSA key of 1024 bits"},
		{"ECDSA P-224", must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), x509.CertificateRequest{URIs: own}, "ECDSA key of 224 bits"},
		{"another service account", p256, x509.CertificateRequest{URIs: []*url.URL{uri("spiffe://cluster.local/ns/shop/sa/pay")}}, "another identity"},
		{"another trust domain", p256, x509.CertificateRequest{URIs: []*url.URL{uri("spiffe://example.org/ns/shop/sa/cart")}}, "another identity"},
		{"two URIs", p256, x509.CertificateRequest{URIs: []*url.URL{cart.URL(), uri("spiffe://cluster.local/ns/shop/sa/pay")}}, "exactly one URI"},
		{"no name", p256, x509.CertificateRequest{}, "0 extensions"},
		{"a DNS name too", p256, x509.CertificateRequest{URIs: own, DNSNames: []string{"kubernetes.default"}}, "exactly one URI"},
		{"an IP too", p256, x509.CertificateRequest{URIs: own, IPAddresses: []net.IP{{127, 0, 0, 1}}}, "exactly one URI"},
		{"an email too", p256, x509.CertificateRequest{URIs: own, EmailAddresses: []string{"a@example.org"}}, "exactly one URI"},
		{"a kind of name that is not parsed", p256, x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: otherName}}}, "exactly one URI"},
		{"a subject", p256, x509.CertificateRequest{URIs: own, Subject: pkix.Name{CommonName: "admin"}}, "must be empty"},
		{"wants to be a CA", p256, x509.CertificateRequest{URIs: own, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}}}, "must be the only one"},
	} {
		err := enroll.CheckCSR(must(x509.CreateCertificateRequest(rand.Reader, &tc.ask, tc.key)), cart)
		if tc.fail == "" && err != nil || tc.fail != "" && (err == nil || !strings.Contains(err.Error(), tc.fail)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.fail)
		}
		if denied := errors.Is(err, enroll.ErrOtherIdentity); denied != strings.Contains(tc.fail, "another") {
			t.Errorf("%s: denial is %v", tc.name, denied)
		}
	}
}

func TestCheckCSRBadBytes(t *testing.T) {
	good := must(identity.NewCSR(must(identity.NewKey()), cart))
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	for name, der := range map[string][]byte{
		"nothing": nil, "garbage": []byte("hello"), "cut": good[:len(good)-3], "trailing": append(append([]byte(nil), good...), 0),
		"forged signature": forged, "too large": make([]byte, enroll.MaxCSR+1),
	} {
		if err := enroll.CheckCSR(der, cart); err == nil || errors.Is(err, enroll.ErrOtherIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheckCSR(f *testing.F) {
	f.Add(must(identity.NewCSR(must(identity.NewKey()), cart)))
	f.Fuzz(func(_ *testing.T, der []byte) { _ = enroll.CheckCSR(der, cart) })
}

// FuzzCheckCSRSigned: whoever holds a key may ask for any subject and extension; only the own identity is accepted.
func FuzzCheckCSRSigned(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	uri := func(ids ...string) []byte {
		var names []asn1.RawValue
		for _, id := range ids {
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(id)})
		}
		return must(asn1.Marshal(names))
	}
	f.Add("", 17, uri(cart.String()))
	f.Add("cart", 17, uri(cart.String()))
	f.Add("", 17, uri(cart.String(), "spiffe://cluster.local/ns/shop/sa/other"))
	f.Add("", 17, uri("spiffe://cluster.local/ns/shop/sa/other"))
	f.Add("", 17, uri(cart.String()+"%00"))
	f.Add("", 19, []byte{0x30, 0x03, 0x01, 0x01, 0xff})
	f.Fuzz(func(t *testing.T, subject string, extension int, value []byte) {
		template := x509.CertificateRequest{Subject: pkix.Name{CommonName: subject}}
		if extension >= 0 {
			template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, extension}, Value: value}}
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
		if err != nil || enroll.CheckCSR(der, cart) != nil {
			return
		}
		asked := must(x509.ParseCertificateRequest(der))
		if subject != "" || len(asked.URIs) != 1 || asked.URIs[0].String() != cart.String() || len(asked.DNSNames)+len(asked.EmailAddresses)+len(asked.IPAddresses) > 0 {
			t.Errorf("accepted subject %q, names %v %v %v %v", subject, asked.URIs, asked.DNSNames, asked.EmailAddresses, asked.IPAddresses)
		}
	})
}
