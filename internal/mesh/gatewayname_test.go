package mesh_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

func TestGatewayNames(t *testing.T) {
	if got := mesh.GatewayResource("public"); got != "public-leno" {
		t.Error(got)
	}
	long := strings.Repeat("a", 253)
	for _, f := range []func(string) string{mesh.GatewayResource, mesh.GatewayLabel} {
		a, b := f(long), f(long[:252]+"b")
		if len(a) > 63 || a == b || strings.HasSuffix(a, "-") {
			t.Errorf("%q, %q", a, b)
		}
	}
	// Services begin with a letter and have no dots; the names of Gateways need not.
	service := regexp.MustCompile(`^[a-z][-a-z0-9]{0,61}[a-z0-9]$`)
	seen := map[string]bool{}
	for _, name := range []string{"a.b", "a-b", "1", "gateway-1", "1.a", "1-a", strings.Repeat("a.", 30) + "a", "a"} {
		got := mesh.GatewayResource(name)
		if !service.MatchString(got) || seen[got] {
			t.Errorf("%s becomes %s", name, got)
		}
		seen[got] = true
	}
	// A name that ends where it is cut must not end with a dash there.
	if got := mesh.GatewayLabel(strings.Repeat("a", 51) + "-" + strings.Repeat("b", 30)); strings.Contains(got, "--") {
		t.Error(got)
	}
}

func TestClaimOf(t *testing.T) {
	made := map[string]string{mesh.LabelManagedBy: mesh.ManagedBy, mesh.LabelGatewayName: "public"}
	for _, tt := range []struct {
		what   string
		labels map[string]string
		owner  *mesh.Owner
		want   mesh.Claim
	}{
		{"made for it", made, &mesh.Owner{Kind: "Gateway", Name: "public", UID: "2"}, mesh.ClaimOwn},
		{"its labels taken away", nil, &mesh.Owner{Kind: "Gateway", Name: "public", UID: "2"}, mesh.ClaimOwn},
		{"its owner taken away", made, nil, mesh.ClaimOwn},
		{"made for the one before", made, &mesh.Owner{Kind: "Gateway", Name: "public", UID: "1"}, mesh.ClaimEarlier},
		{"made by somebody", nil, nil, mesh.ClaimForeign},
		{"made by another implementation", map[string]string{mesh.LabelManagedBy: "other", mesh.LabelGatewayName: "public"}, nil, mesh.ClaimForeign},
		{"made by another implementation, owned by the one before", map[string]string{mesh.LabelGatewayName: "public"},
			&mesh.Owner{Kind: "Gateway", Name: "public", UID: "1"}, mesh.ClaimForeign},
		{"made for another Gateway", map[string]string{mesh.LabelManagedBy: mesh.ManagedBy, mesh.LabelGatewayName: "other"}, nil, mesh.ClaimForeign},
		{"of a Deployment", made, &mesh.Owner{Kind: "Deployment", Name: "public", UID: "2"}, mesh.ClaimForeign},
	} {
		if got := mesh.ClaimOf("public", "2", tt.labels, tt.owner); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
}

func TestKeysHide(t *testing.T) {
	key := mesh.Key("secret")
	shown := fmt.Sprintf("%v %s %+v %#v %v", key, key, mesh.Certificate{Key: key}, key, []any{key})
	json, err := key.MarshalJSON()
	if err != nil || strings.Contains(shown, "secret") || strings.Contains(shown, "115") || strings.Contains(string(json), "secret") {
		t.Errorf("%s, %s, %v", shown, json, err)
	}
}
