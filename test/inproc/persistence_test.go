package inproc_test

import (
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/inproc"
)

const sticky = `
  - matches: [{path: {value: /cookie}}]
    sessionPersistence: {cookie: {name: place}}
    backendRefs: [{name: catalog-v1, port: 80}, {name: catalog-v2, port: 80}]
  - matches: [{path: {value: /header}}]
    sessionPersistence: {type: Header, header: {name: X-Place}}
    backendRefs: [{name: catalog-v1, port: 80}, {name: catalog-v2, port: 80}]
  - matches: [{path: {value: /short}}]
    sessionPersistence: {absoluteTimeout: 1h, cookie: {name: place, path: /short, lifetimeType: Permanent}}
    backendRefs: [{name: catalog-v1, port: 80}, {name: catalog-v2, port: 80}]`

// TestSessions: a client stays where it was sent first, whatever proxy it comes through.
func TestSessions(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Route("catalog", "catalog", sticky))
	client := m.Client("client")
	for _, way := range []struct{ path, answer, field, attributes string }{
		{"/cookie", "Set-Cookie", "Cookie: theme=dark; ", "; Path=/; HttpOnly"},
		{"/header", "X-Place", "X-Place: ", ""},
		{"/short", "Set-Cookie", "Cookie: ", "; Path=/short; Max-Age=3600; HttpOnly"},
	} {
		first := client.Get("catalog:80" + way.path)
		token := first.Header.Get(way.answer)
		if first.Status != 200 || token == "" || !strings.HasSuffix(token, way.attributes) {
			t.Fatalf("%s: %d %v", way.path, first.Status, first.Header)
		}
		carried := way.field + strings.TrimSuffix(token, way.attributes)
		for range 30 {
			answer := client.Get("catalog:80"+way.path, carried)
			if answer.Seen.Pod != first.Seen.Pod || answer.Header.Get(way.answer) != "" {
				t.Fatalf("%s: at %s, and then at %s with %q", way.path, first.Seen.Pod, answer.Seen.Pod, answer.Header.Get(way.answer))
			}
		}
		forged := carried[:len(carried)-6] + "AAAAAA"
		if answer := client.Get("catalog:80"+way.path, forged); answer.Status != 200 || answer.Header.Get(way.answer) == "" {
			t.Errorf("%s: a session that nobody gave is answered %d without a new one", way.path, answer.Status)
		}
	}
	if got := client.Shares(40, "catalog:80/cookie"); len(got) != 2 {
		t.Errorf("requests without a session all went to %v", got)
	}
}

// TestSessionOutlivesWeights: a session is kept when its backend gets no others, and by another control plane; it begins anew when its
// backend is gone.
func TestSessionOutlivesWeights(t *testing.T) {
	rule := func(backends string) string {
		return inproc.Route("catalog", "catalog", `
  - name: sticky
    sessionPersistence: {type: Header, header: {name: X-Place}}
    backendRefs: [`+backends+`]`)
	}
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, rule("{name: catalog-v1, port: 80}"))
	client := m.Client("client")
	token := "X-Place: " + client.Get("catalog:80/").Header.Get("X-Place")
	m.StopPlane()
	m.StartPlane(m.Plane)
	m.Apply(inproc.Shop, rule("{name: catalog-v1, port: 80, weight: 0}, {name: catalog-v2, port: 80}"))
	m.Eventually("others go to v2", func() bool { return client.Get("catalog:80/").Seen.Owner == "catalog-v2" })
	if answer := client.Get("catalog:80/", token); answer.Seen.Owner != "catalog-v1" || answer.Header.Get("X-Place") != "" {
		t.Errorf("the session went to %s", answer.Seen.Owner)
	}
	m.Apply(inproc.Shop, rule("{name: catalog-v2, port: 80}"))
	m.Eventually("the session begins anew", func() bool {
		answer := client.Get("catalog:80/", token)
		return answer.Seen.Owner == "catalog-v2" && answer.Header.Get("X-Place") != ""
	})
}

// TestSessionsOfServices: a policy keeps the clients of a Service where they are, with a route and without one.
func TestSessionsOfServices(t *testing.T) {
	policy := `
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {namespace: inproc, name: catalog}
spec:
  targetRefs: [{group: "", kind: Service, name: catalog}]
  sessionPersistence: {type: Header}
`
	for name, route := range map[string]string{
		"no route": "",
		"a route":  inproc.Route("catalog", "catalog", "\n  - backendRefs: [{name: catalog, port: 80}]"),
	} {
		t.Run(name, func(t *testing.T) {
			m := inproc.Start(t, inproc.Options{}, inproc.Shop, policy, route)
			if got := m.Status("catalog"); !strings.Contains(got, "Accepted=true Accepted") {
				t.Errorf("status %s", got)
			}
			client := m.Client("client")
			first := client.Get("catalog:80/")
			var session string
			for name := range first.Header {
				if strings.HasPrefix(name, "Leno-Session-") {
					session = name + ": " + first.Header.Get(name)
				}
			}
			if session == "" {
				t.Fatalf("%d %v", first.Status, first.Header)
			}
			if got := client.Shares(30, "catalog:80/", session); len(got) != 1 || got[first.Seen.Owner] != 30 {
				t.Errorf("a session at %s went to %v", first.Seen.Owner, got)
			}
			if got := client.Shares(40, "catalog:80/"); len(got) != 2 {
				t.Errorf("requests without a session all went to %v", got)
			}
		})
	}
}
