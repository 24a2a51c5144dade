package identity_test

import (
	"strings"
	"testing"

	"github.com/leno-mesh/leno/internal/identity"
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
