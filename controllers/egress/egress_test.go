package egress

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/leno-mesh/leno/internal/mesh"
)

var (
	web     = mesh.Name{Namespace: "shop", Name: "web-1"}
	outside = netip.MustParseAddrPort("192.0.2.1:443")
)

// TestTrail: one Event for a pod and an address in an hour, in words that say what happened and why.
func TestTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := fake.NewClientBuilder().WithObjects(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: web.Namespace, Name: web.Name, UID: "1"}}).Build()
		recorder := events.NewFakeRecorder(10)
		trail := New(pods, recorder)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = trail.Run(ctx) }()
		told := func(want string) {
			t.Helper()
			synctest.Wait()
			select {
			case got := <-recorder.Events:
				if want == "" || !strings.HasPrefix(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			default:
				if want != "" {
					t.Errorf("nothing, want %q", want)
				}
			}
		}
		passed := mesh.Sighting{Pod: web, To: outside, Policy: mesh.OutboundAllow}
		trail.Note(passed)
		told("Normal UnknownDestination the connection to 192.0.2.1:443 passed as it is")
		trail.Note(passed)
		told("")
		trail.Note(mesh.Sighting{Pod: web, To: outside, Policy: mesh.OutboundDeny})
		told("Warning UnknownDestinationRefused the connection to 192.0.2.1:443 was closed")
		for _, host := range []string{"a.example", "b.example"} {
			trail.Note(mesh.Sighting{Pod: web, To: outside, Host: host, Policy: mesh.OutboundRegistryOnly})
			told("Warning UnknownDestinationRefused the connection to 192.0.2.1:443 was closed")
		}
		time.Sleep(quiet)
		trail.Note(passed)
		told("Normal UnknownDestination ")
		trail.Note(mesh.Sighting{Pod: mesh.Name{Namespace: "shop", Name: "gone"}, To: outside, Policy: mesh.OutboundAllow})
		told("")
	})
}

// TestWords: an Event says what would let the connection through, by the names of fields, and fits into an Event.
func TestWords(t *testing.T) {
	for _, tc := range []struct {
		policy mesh.OutboundPolicy
		host   string
		want   []string
	}{
		{mesh.OutboundAllow, "", []string{"passed as it is", "policy Deny of the Mesh would close it", "XBackend of namespace shop", "port.number 443"}},
		{mesh.OutboundDeny, "", []string{"was closed", "spec.outbound.policy of the Mesh is Deny"}},
		{mesh.OutboundRegistryOnly, "", []string{"was closed", "the client named no host", "XBackend of namespace shop", "port.number 443"}},
		{mesh.OutboundRegistryOnly, "api.example.com", []string{"was closed", "no XBackend registers the host api.example.com, which the client named",
			"an XBackend of namespace shop with type ExternalHostname, externalHostname.hostname api.example.com and port.number 443 would permit it"}},
		{mesh.OutboundRegistryOnly, strings.Repeat("a", 253), nil},
	} {
		_, _, text := words(mesh.Sighting{Pod: web, To: outside, Host: tc.host, Policy: tc.policy})
		for _, part := range tc.want {
			if !strings.Contains(text, part) {
				t.Errorf("%s %q: %q lacks %q", tc.policy, tc.host, text, part)
			}
		}
		if len(text) > 1024 {
			t.Errorf("%s: %d bytes are more than an Event takes", tc.policy, len(text))
		}
	}
}

// TestTrailIsBounded: a pod that tries all addresses costs neither memory nor the API server much.
func TestTrailIsBounded(t *testing.T) {
	trail := New(nil, nil)
	for i := range 3 * remembered {
		trail.Note(mesh.Sighting{
			Pod: web, To: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), uint16(1+i>>16)), Policy: mesh.OutboundAllow,
		})
	}
	if len(trail.last) > remembered || len(trail.queue) > burst+rate*10 {
		t.Errorf("%d remembered, %d to be told", len(trail.last), len(trail.queue))
	}
}
