// Package status writes into the cluster what the graph wants objects to show. It works beside the path of events: a
// slow API server delays status and nothing else.
package status

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/internal/status/routestatus"
)

//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes/status,verbs=update;patch

// workers is how many objects are written at the same time. Writes wait for the API server, not for a core.
const workers = 4

// Backoff of an object that cannot be written; a conflict is one such failure.
const (
	retryFirst = 50 * time.Millisecond
	retryMost  = 30 * time.Second
)

// Writer keeps the latest wishes and fulfils them while it leads. Every replica calls Set, so that a new leader knows at
// once what to write.
type Writer struct {
	client client.Client
	now    func() time.Time
	queue  workqueue.TypedRateLimitingInterface[mesh.Name]

	mu    sync.Mutex // guards wants
	wants map[mesh.Name]status.Want
}

// New makes a Writer that reads routes through c (a cache) and writes through it.
func New(c client.Client) *Writer {
	return &Writer{client: c, now: time.Now, wants: map[mesh.Name]status.Want{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[mesh.Name](retryFirst, retryMost))}
}

// Set replaces all wishes. It does not block. Objects whose wish is the same as before are not looked at again.
func (w *Writer) Set(wants []status.Want) {
	next := make(map[mesh.Name]status.Want, len(wants))
	for _, want := range wants {
		next[want.Name] = want
	}
	w.mu.Lock()
	before := w.wants
	w.wants = next
	w.mu.Unlock()
	for name, want := range next {
		if old, ok := before[name]; !ok || !reflect.DeepEqual(old, want) {
			w.queue.Add(name)
		}
	}
}

// Touch looks at an object again, because somebody changed it.
func (w *Writer) Touch(name mesh.Name) { w.queue.Add(name) }

// NeedLeaderElection is true: only one replica writes.
func (w *Writer) NeedLeaderElection() bool { return true }

// Start writes until ctx ends.
func (w *Writer) Start(ctx context.Context) error {
	go func() { <-ctx.Done(); w.queue.ShutDown() }()
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for w.next(ctx) {
			}
		})
	}
	done.Wait()
	return nil
}

func (w *Writer) next(ctx context.Context) bool {
	name, down := w.queue.Get()
	if down {
		return false
	}
	defer w.queue.Done(name)
	if err := w.write(ctx, name); err != nil && ctx.Err() == nil {
		slog.InfoContext(ctx, "status not written, trying again", "route", name.String(), "error", err)
		w.queue.AddRateLimited(name)
		return true
	}
	w.queue.Forget(name)
	return true
}

// write brings one object up to date, with no request when it is already.
func (w *Writer) write(ctx context.Context, name mesh.Name) error {
	w.mu.Lock()
	want, ok := w.wants[name]
	w.mu.Unlock()
	if !ok {
		return nil // gone
	}
	var route gatewayv1.HTTPRoute
	if err := w.client.Get(ctx, client.ObjectKey{Namespace: name.Namespace, Name: name.Name}, &route); err != nil {
		return client.IgnoreNotFound(err)
	}
	parents, changed := routestatus.Merge(route.Status.Parents, want, metav1.NewTime(w.now()))
	if !changed {
		return nil
	}
	route.Status.Parents = parents
	if route.Status.Parents == nil {
		route.Status.Parents = []gatewayv1.RouteParentStatus{} // the API wants a list
	}
	if err := w.client.Status().Update(ctx, &route); err != nil {
		return fmt.Errorf("status of HTTPRoute %s: %w", name, err)
	}
	return nil
}
