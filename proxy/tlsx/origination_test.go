package tlsx

import (
	"crypto/x509"
	"net/url"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

func TestHasName(t *testing.T) {
	id, err := url.Parse("spiffe://example.org/ns/a/sa/b")
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{DNSNames: []string{"www.example.com", "*.wild.test"}, URIs: []*url.URL{id}}
	for san, want := range map[config.SAN]bool{
		{DNS: "www.example.com"}:                true,
		{DNS: "WWW.Example.com"}:                true,
		{DNS: "example.com"}:                    false,
		{DNS: "a.wild.test"}:                    true,
		{DNS: "b.a.wild.test"}:                  false, // one label
		{DNS: "*.wild.test"}:                    true,
		{DNS: "*.example.com"}:                  true,
		{DNS: "*.test"}:                         false,
		{DNS: "*"}:                              false,
		{DNS: "www.example.co."}:                false, // a value, never a pattern
		{DNS: ".*"}:                             false,
		{URI: "spiffe://example.org/ns/a/sa/b"}: true,
		{URI: "spiffe://example.org/ns/a/sa/"}:  false,
		{URI: "www.example.com"}:                false,
	} {
		if got := hasName(leaf, san); got != want {
			t.Errorf("%+v: %v", san, got)
		}
	}
}
