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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/controllers/gatewayapi"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

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
	client client.StatusClient
	read   Read
	now    func() time.Time
	queue  workqueue.TypedRateLimitingInterface[item]

	mu    sync.Mutex // guards wants
	wants map[item]status.Want
}

// item names an object.
type item struct {
	kind string
	name mesh.Name
}

// Read is an object as it is known here; nil: it is not there. It may not be changed.
type Read func(ctx context.Context, kind schema.GroupVersionKind, name mesh.Name) (*gatewayapi.Object, error)

// New makes a Writer that reads objects from a cache and writes them through c.
func New(c client.StatusClient, read Read) *Writer {
	return &Writer{client: c, read: read, now: time.Now, wants: map[item]status.Want{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[item](retryFirst, retryMost))}
}

// Set replaces all wishes. It does not block. Objects whose wish is the same as before are not looked at again.
func (w *Writer) Set(wants []status.Want) {
	next := make(map[item]status.Want, len(wants))
	for _, want := range wants {
		next[item{want.Kind, want.Name}] = want
	}
	w.mu.Lock()
	before := w.wants
	w.wants = next
	w.mu.Unlock()
	for it, want := range next {
		if old, ok := before[it]; !ok || !reflect.DeepEqual(old, want) {
			w.queue.Add(it)
		}
	}
}

// Touch looks at an object again, because somebody changed it.
func (w *Writer) Touch(kind string, name mesh.Name) { w.queue.Add(item{kind, name}) }

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
	it, down := w.queue.Get()
	if down {
		return false
	}
	defer w.queue.Done(it)
	if err := w.write(ctx, it); err != nil && ctx.Err() == nil {
		slog.InfoContext(ctx, "status not written, trying again", "kind", it.kind, "name", it.name.String(), "error", err)
		w.queue.AddRateLimited(it)
		return true
	}
	w.queue.Forget(it)
	return true
}

// write brings one object up to date, with no request when it is already.
func (w *Writer) write(ctx context.Context, it item) error {
	w.mu.Lock()
	want, ok := w.wants[it]
	w.mu.Unlock()
	if !ok {
		return nil // gone, or not ours
	}
	k, ok := kinds[it.kind]
	if !ok {
		return nil
	}
	found, err := w.read(ctx, k.served, it.name)
	if err != nil || found == nil || found.Err != nil {
		return err // gone, or not to be read: nothing is known of it
	}
	obj, ok := found.Object.DeepCopyObject().(client.Object)
	if !ok || !k.merge(obj, want, metav1.NewTime(w.now())) {
		return nil
	}
	if err := w.client.Status().Update(ctx, obj); err != nil {
		return fmt.Errorf("status of %s %s: %w", it.kind, it.name, err)
	}
	return nil
}
