// Package egress keeps a trail of the connections that pods make to addresses which the mesh knows nothing of: an Event on the pod.
package egress

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/mesh"
)

const (
	// quiet is how long nothing more is said of a pod and an address.
	quiet = time.Hour
	// remembered bounds the pairs of pod and address whose last Event is remembered, and waiting those that are still to be told.
	remembered = 10_000
	waiting    = 256
	// Events are told at this rate for the whole replica, per second: what is beyond it is in the sidecars' access logs only.
	rate, burst = 5, 50
)

// sighting is a connection to an address that the mesh knows nothing of.
type sighting struct {
	pod    mesh.Name
	to     netip.AddrPort
	policy mesh.OutboundPolicy
}

// Trail makes Events of sightings.
type Trail struct {
	pods    client.Reader
	events  events.EventRecorder
	limiter flowcontrol.PassiveRateLimiter
	queue   chan sighting

	mu   sync.Mutex // guards last
	last map[sighting]time.Time
}

// New makes a Trail that reads pods from an API server.
func New(pods client.Reader, recorder events.EventRecorder) *Trail {
	return &Trail{
		pods: pods, events: recorder, limiter: flowcontrol.NewTokenBucketPassiveRateLimiter(rate, burst),
		queue: make(chan sighting, waiting), last: map[sighting]time.Time{},
	}
}

// Note takes a sighting. It does not wait: what cannot be told soon is left out.
func (t *Trail) Note(pod mesh.Name, to netip.AddrPort, policy mesh.OutboundPolicy) {
	s := sighting{pod, to, policy}
	if !t.news(s) {
		return
	}
	select {
	case t.queue <- s:
	default:
	}
}

// news tells whether nothing was said of it lately, and it can be said now.
func (t *Trail) news(s sighting) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, known := t.last[s]; known && now.Sub(at) < quiet {
		return false
	}
	if len(t.last) >= remembered {
		for old, at := range t.last {
			if now.Sub(at) >= quiet {
				delete(t.last, old)
			}
		}
		if len(t.last) >= remembered {
			return false
		}
	}
	if !t.limiter.TryAccept() {
		return false
	}
	t.last[s] = now
	return true
}

// Run tells of sightings until ctx ends.
func (t *Trail) Run(ctx context.Context) error {
	for {
		select {
		case s := <-t.queue:
			if err := t.tell(ctx, s); err != nil && ctx.Err() == nil {
				slog.InfoContext(ctx, "no Event of a connection to an unknown address", "pod", s.pod.String(), "to", s.to.String(), "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *Trail) tell(ctx context.Context, s sighting) error {
	pod := &metav1.PartialObjectMetadata{}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	if err := t.pods.Get(ctx, client.ObjectKey{Namespace: s.pod.Namespace, Name: s.pod.Name}, pod); err != nil {
		return fmt.Errorf("read the pod: %w", err)
	}
	if s.policy == mesh.OutboundRegistryOnly {
		t.events.Eventf(pod, nil, corev1.EventTypeWarning, "UnknownDestinationRefused", "Connect",
			"the connection to %s was closed: no Service or pod has that address, and spec.outbound.policy of the Mesh is RegistryOnly", s.to)
		return nil
	}
	t.events.Eventf(pod, nil, corev1.EventTypeNormal, "UnknownDestination", "Connect",
		"the connection to %s passed as it is: no Service or pod has that address; spec.outbound.policy RegistryOnly of the Mesh would close it", s.to)
	return nil
}
