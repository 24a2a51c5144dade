package identity_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
)

func TestSVIDHidesItsKey(t *testing.T) {
	svid := must(must(devca.New(time.Hour)).SVID(id("cart"), time.Hour))
	encoded := must(json.Marshal(svid))
	for _, shown := range []string{fmt.Sprintf("%v", svid), fmt.Sprintf("%+v", svid), fmt.Sprintf("%#v", svid), string(encoded)} {
		if !strings.Contains(shown, "SVID(spiffe://cluster.local/ns/shop/sa/cart until ") {
			t.Errorf("shows %q", shown)
		}
	}
}

func TestNewSVIDRefuses(t *testing.T) {
	ca := must(devca.New(time.Hour))
	key, other := must(identity.NewKey()), must(identity.NewKey())
	chain := must(ca.Workload(id("cart"), key.Public(), time.Hour))
	if _, err := identity.NewSVID(chain, other, ca.Bundle()); err == nil {
		t.Error("a certificate for another key was accepted")
	}
	if _, err := identity.NewSVID(ca.Bundle().PEM(), key, ca.Bundle()); err == nil {
		t.Error("a CA certificate was accepted as leaf")
	}
	if _, err := identity.NewSVID(nil, key, ca.Bundle()); err == nil {
		t.Error("an empty chain was accepted")
	}
	if _, err := identity.NewSVID(chain, key, nil); err == nil {
		t.Error("a missing bundle was accepted")
	}
}

func TestBundle(t *testing.T) {
	a, b := must(devca.New(time.Hour)).Bundle(), must(devca.New(time.Hour)).Bundle()
	both := identity.Union(a, b, a, nil)
	if len(both.Roots()) != 2 || !both.Equal(identity.Union(b, a)) || both.Equal(a) {
		t.Errorf("union has %d roots", len(both.Roots()))
	}
	again := must(identity.ParseBundle(both.PEM()))
	if !again.Equal(both) || string(again.PEM()) != string(both.PEM()) {
		t.Error("PEM does not round-trip")
	}
	if _, err := identity.ParseBundle([]byte("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n")); err == nil {
		t.Error("a key was accepted as bundle")
	}
}

func TestRenewal(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := start.Add(30 * time.Hour)
	for _, tc := range []struct {
		jitter float64
		want   time.Duration
	}{{0, 20 * time.Hour}, {0.5, 18*time.Hour + 30*time.Minute}, {1, 17 * time.Hour}, {-3, 20 * time.Hour}, {7, 17 * time.Hour}} {
		if got := identity.Renewal(start, end, tc.jitter).Sub(start); got != tc.want {
			t.Errorf("jitter %v: after %v, want %v", tc.jitter, got, tc.want)
		}
	}
	if got := identity.Renewal(end, start, 0); got != end {
		t.Errorf("negative lifetime: %v", got)
	}
}
