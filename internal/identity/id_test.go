package identity_test

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
)

func TestParse(t *testing.T) {
	good := "spiffe://cluster.local/ns/shop/sa/cart"
	id, err := identity.Parse(good)
	if err != nil || id != (identity.ID{TrustDomain: "cluster.local", Namespace: "shop", ServiceAccount: "cart"}) {
		t.Fatalf("Parse(%q) = %+v, %v", good, id, err)
	}
	if id.String() != good || id.URL().String() != good {
		t.Errorf("String() = %q, URL() = %q, want %q", id, id.URL(), good)
	}
	for _, bad := range []string{
		"", "spiffe://", "spiffe://cluster.local", "https://cluster.local/ns/a/sa/b",
		"spiffe://Cluster.Local/ns/a/sa/b", "spiffe://cluster.local:80/ns/a/sa/b", "spiffe://u@cluster.local/ns/a/sa/b",
		"spiffe://cluster.local/ns/a/sa/b/", "spiffe://cluster.local/ns/a/sa", "spiffe://cluster.local/ns//sa/b",
		"spiffe://cluster.local/ns/../sa/b", "spiffe://cluster.local/ns/a/sa/b?x=1", "spiffe://cluster.local/ns/a/sa/b#f",
		"spiffe://cluster.local/ns/a%2fb/sa/c", "spiffe://cluster.local/sa/a/ns/b", "spiffe:///ns/a/sa/b",
		"spiffe://cluster.local/ns/a/sa/b\x00", "spiffe://cluster.local/ns/a/sa/" + strings.Repeat("b", 300),
	} {
		if id, err := identity.Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", bad, id)
		}
	}
}

func TestNewRefusesAnIDAsTrustDomain(t *testing.T) {
	if id, err := identity.New("spiffe://cluster.local", "a", "b"); err == nil {
		t.Errorf("got %v", id)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("spiffe://cluster.local/ns/shop/sa/cart")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := identity.Parse(s); err == nil && id.String() != s {
			t.Errorf("Parse(%q) gives %q: two texts for one id", s, id)
		}
	})
}

// FuzzSVID: what a manager sends for a chain is an SVID for our key or an error.
func FuzzSVID(f *testing.F) {
	ca, err := devca.New(time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	svid, err := ca.SVID(identity.ID{TrustDomain: "cluster.local", Namespace: "shop", ServiceAccount: "cart"}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	var chain []byte
	for _, c := range svid.Chain {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	f.Add(chain)
	f.Add(chain[:len(chain)/2])
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if bundle, err := identity.ParseBundle(text); err == nil && len(bundle.Roots()) == 0 {
			t.Error("a bundle without roots")
		}
		got, err := identity.NewSVID(text, svid.Key, svid.Roots)
		if err == nil && (got.ID == identity.ID{} || got.ID.String() != got.Chain[0].URIs[0].String() || got.Chain[0].IsCA) {
			t.Errorf("accepted %v", got)
		}
	})
}
