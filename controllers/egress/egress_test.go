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
		trail.Note(web, outside, mesh.OutboundAllow)
		told("Normal UnknownDestination the connection to 192.0.2.1:443 passed as it is")
		trail.Note(web, outside, mesh.OutboundAllow)
		told("")
		trail.Note(web, outside, mesh.OutboundRegistryOnly)
		told("Warning UnknownDestinationRefused the connection to 192.0.2.1:443 was closed")
		time.Sleep(quiet)
		trail.Note(web, outside, mesh.OutboundAllow)
		told("Normal UnknownDestination ")
		trail.Note(mesh.Name{Namespace: "shop", Name: "gone"}, outside, mesh.OutboundAllow)
		told("")
	})
}

// TestTrailIsBounded: a pod that tries all addresses costs neither memory nor the API server much.
func TestTrailIsBounded(t *testing.T) {
	trail := New(nil, nil)
	for i := range 3 * remembered {
		trail.Note(web, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), uint16(1+i>>16)), mesh.OutboundAllow)
	}
	if len(trail.last) > remembered || len(trail.queue) > burst+rate*10 {
		t.Errorf("%d remembered, %d to be told", len(trail.last), len(trail.queue))
	}
}
