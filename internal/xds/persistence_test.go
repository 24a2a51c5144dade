package xds_test

import (
	"bytes"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
)

// TestSessionsNeedAKey: without one, nobody is told to keep sessions, a stock Envoy neither, which would do without.
func TestSessionsNeedAKey(t *testing.T) {
	own := &mesh.Rule{Backends: one, Persistence: &mesh.Persistence{Name: "place", Path: "/"}}
	ofBackend := &mesh.Rule{Backends: []mesh.Backend{to("cart-v2", 1)}}
	resources := []struct{ typeURL, name string }{
		{xds.ListenerType, "outbound/10.96.0.10:80"}, // with routes
		{xds.ListenerType, "outbound/10.96.0.11:80"}, // without
		{xds.RouteType, "shop/cart:80"},
		{xds.ClusterType, "shop/cart-v2:80"},
	}
	for _, rule := range []*mesh.Rule{own, ofBackend} {
		for _, key := range []mesh.SessionKey{{}, {1}} {
			m := shop(mesh.Entry{Rule: rule})
			m.Settings.SessionKey = key
			m.Services[cartV2].Ports[0].Persistence = &mesh.Persistence{Name: "place", Path: "/"}
			for _, r := range resources {
				ask(t, m, web, r.typeURL, r.name)
				body, err := xds.Translate(m, web, r.typeURL, r.name)
				if err != nil {
					t.Fatal(err)
				}
				said := bytes.Contains(body.Body, []byte("stateful_session")) || bytes.Contains(body.Body, []byte("persistence"))
				if want := key != (mesh.SessionKey{}); said != want {
					t.Errorf("%s with a key: %t, says something of sessions: %t", r.name, want, said)
				}
			}
		}
	}
}
