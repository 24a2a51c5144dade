// Package egress keeps a trail of the connections that pods make to addresses which the mesh knows nothing of: an Event on the pod.
package egress

import (
	"context"
	"fmt"
	"log/slog"
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
	// quiet is how long nothing more is said of a pod, an address and a host.
	quiet = time.Hour
	// remembered bounds the sightings whose last Event is remembered, and waiting those that are still to be told.
	remembered = 10_000
	waiting    = 256
	// Events are told at this rate for the whole replica, per second: what is beyond it is in the sidecars' access logs only.
	rate, burst = 5, 50
)

// Trail makes Events of sightings.
type Trail struct {
	pods    client.Reader
	events  events.EventRecorder
	limiter flowcontrol.PassiveRateLimiter
	queue   chan mesh.Sighting

	mu   sync.Mutex // guards last
	last map[mesh.Sighting]time.Time
}

// New makes a Trail that reads pods from an API server.
func New(pods client.Reader, recorder events.EventRecorder) *Trail {
	return &Trail{
		pods: pods, events: recorder, limiter: flowcontrol.NewTokenBucketPassiveRateLimiter(rate, burst),
		queue: make(chan mesh.Sighting, waiting), last: map[mesh.Sighting]time.Time{},
	}
}

// Note takes a sighting. It does not wait: what cannot be told soon is left out.
func (t *Trail) Note(s mesh.Sighting) {
	if !t.news(s) {
		return
	}
	select {
	case t.queue <- s:
	default:
	}
}

// news tells whether nothing was said of it lately, and it can be said now.
func (t *Trail) news(s mesh.Sighting) bool {
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
				slog.InfoContext(ctx, "no Event of a connection to an unknown address", "pod", s.Pod.String(), "to", s.To.String(), "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *Trail) tell(ctx context.Context, s mesh.Sighting) error {
	pod := &metav1.PartialObjectMetadata{}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	if err := t.pods.Get(ctx, client.ObjectKey{Namespace: s.Pod.Namespace, Name: s.Pod.Name}, pod); err != nil {
		return fmt.Errorf("read the pod: %w", err)
	}
	kind, reason, text := words(s)
	t.events.Eventf(pod, nil, kind, reason, "Connect", "%s", text)
	return nil
}

// words say what happened to a connection, and what would change that.
func words(s mesh.Sighting) (kind, reason, text string) {
	const refused = "UnknownDestinationRefused"
	closed := fmt.Sprintf("the connection to %s was closed: no Service or pod has that address, ", s.To)
	xbackend := fmt.Sprintf("an XBackend of namespace %s with type ExternalHostname, externalHostname.hostname", s.Pod.Namespace)
	switch {
	case s.Policy == mesh.OutboundDeny:
		return corev1.EventTypeWarning, refused, closed + "and spec.outbound.policy of the Mesh is Deny"
	case s.Policy == mesh.OutboundRegistryOnly && s.Host != "":
		return corev1.EventTypeWarning, refused, closed + fmt.Sprintf(
			"spec.outbound.policy of the Mesh is RegistryOnly, and no XBackend registers the host %s, which the client named: %s %s and port.number %d would permit it",
			s.Host, xbackend, s.Host, s.To.Port())
	case s.Policy == mesh.OutboundRegistryOnly:
		return corev1.EventTypeWarning, refused, closed + fmt.Sprintf(
			"spec.outbound.policy of the Mesh is RegistryOnly, and the client named no host, by the server name of TLS or the Host of HTTP: once it does, %s of that name and port.number %d would permit it",
			xbackend, s.To.Port())
	}
	return corev1.EventTypeNormal, "UnknownDestination", fmt.Sprintf(
		"the connection to %s passed as it is: no Service or pod has that address; spec.outbound.policy Deny of the Mesh would close it, and RegistryOnly too unless %s as the client names it and port.number %d registers its host",
		s.To, xbackend, s.To.Port())
}
