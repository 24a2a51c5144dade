// Package feed carries the cluster's news into the pipeline: what an object is now, or that it is gone. It has no
// opinions; those are the graph's.
package feed

import (
	"context"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// Sink takes the news; the pipeline is one.
type Sink interface {
	// Send hands over events in order. Its error ends the feed.
	Send(ctx context.Context, events ...snapshot.Event) error
	// Synced says that everything there is was sent.
	Synced()
}

// Feed watches all kinds of the table. It runs on every replica.
type Feed struct {
	cache    cache.Cache
	material cache.Cache
	mapper   meta.RESTMapper
	sink     Sink
	queue    workqueue.TypedRateLimitingInterface[item]
}

// item names an object to look at again.
type item struct {
	row  int // in kinds
	name mesh.Name
}

// New makes a feed from a cache to a sink. material is the cache for certificates, which
// the feed runs: see [Material].
func New(from, material cache.Cache, mapper meta.RESTMapper, sink Sink) *Feed {
	return &Feed{cache: from, material: material, mapper: mapper, sink: sink, queue: workqueue.NewTypedRateLimitingQueue(
		workqueue.DefaultTypedControllerRateLimiter[item]())}
}

// NeedLeaderElection is false: every replica serves proxies.
func (f *Feed) NeedLeaderElection() bool { return false }

// Start sends first everything there is, in one batch, so that nothing half-built reaches a proxy after a restart; then
// every change. Kinds whose definitions are missing are watched from the moment they appear. It returns when ctx ends
// or the sink gives up.
func (f *Feed) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { <-ctx.Done(); f.queue.ShutDown() }()
	material := make(chan error, 1)
	go func() { material <- f.material.Start(ctx) }()
	if !f.material.WaitForCacheSync(ctx) {
		return <-material // the reason, or nil at the end
	}
	if err := f.first(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // shutting down
		}
		return err
	}
	for f.next(ctx) {
	}
	return nil
}

func (f *Feed) first(ctx context.Context) error {
	var all []snapshot.Event
	for i, r := range kinds {
		state, err := r.state(f.mapper)
		switch {
		case err != nil:
			return err
		case state == needless:
			continue
		case state == absent:
			slog.WarnContext(ctx, "kind is not served, its objects are left out until its definition is installed", "kind", r.crd.String())
			go f.late(ctx, i)
			continue
		}
		// Watch before listing: what goes after the list then is in the queue.
		if err := f.watch(ctx, i); err != nil {
			return err
		}
		events, err := f.list(ctx, r)
		if err != nil {
			return err
		}
		all = append(append(all, events...), r.told()...)
	}
	if err := f.sink.Send(ctx, all...); err != nil {
		return fmt.Errorf("first batch: %w", err)
	}
	f.sink.Synced()
	return nil
}

// of is the cache that holds a row's kind.
func (f *Feed) of(r row) cache.Cache {
	if r.material {
		return f.material
	}
	return f.cache
}

// late waits for a definition and then watches the kind. It ends with ctx.
func (f *Feed) late(ctx context.Context, i int) {
	r := kinds[i]
	if !served.Wait(ctx, f.mapper, *r.crd) {
		return
	}
	state, err := r.state(f.mapper)
	if err == nil && state == needless {
		return
	}
	if err := f.watch(ctx, i); err != nil {
		slog.ErrorContext(ctx, "kind appeared and cannot be watched: restart the manager", "kind", r.crd.String(), "error", err)
		return
	}
	slog.InfoContext(ctx, "kind appeared and is watched", "kind", r.crd.String())
	if err := f.sink.Send(ctx, r.told()...); err != nil && ctx.Err() == nil {
		slog.ErrorContext(ctx, "the news that a kind appeared was not taken: restart the manager", "kind", r.crd.String(), "error", err)
	}
}

// watch returns when the cache holds the kind. The handler adds all that is there to the queue once.
func (f *Feed) watch(ctx context.Context, i int) error {
	r := kinds[i]
	informer, err := f.of(r).GetInformer(ctx, r.new())
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("watch %s: %w: install Leno's custom resource definitions (config/crd)", r.kind, err)
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", r.kind, err)
	}
	add := func(obj any) {
		if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(client.Object); ok {
			f.queue.Add(item{row: i, name: nameOf(o)})
		}
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, now any) { add(now) }, DeleteFunc: add,
	}); err != nil {
		return fmt.Errorf("watch %s: %w", r.kind, err)
	}
	return nil
}

func (f *Feed) list(ctx context.Context, r row) ([]snapshot.Event, error) {
	list := r.list()
	if err := f.of(r).List(ctx, list); err != nil {
		return nil, fmt.Errorf("list %s: %w", r.kind, err)
	}
	var events []snapshot.Event
	err := meta.EachListItem(list, func(o runtime.Object) error {
		if obj, ok := o.(client.Object); ok {
			events = append(events, snapshot.Upsert(obj))
		}
		return nil
	})
	return events, err
}

// next is the reconciler of every kind: it asks what the object is now and passes that on. False ends the feed.
func (f *Feed) next(ctx context.Context) bool {
	it, down := f.queue.Get()
	if down {
		return false
	}
	defer f.queue.Done(it)
	r := kinds[it.row]
	event := snapshot.Delete(r.kind, it.name)
	obj := r.new()
	switch err := f.of(r).Get(ctx, client.ObjectKey{Namespace: it.name.Namespace, Name: it.name.Name}, obj); {
	case err == nil:
		event = snapshot.Upsert(obj)
	case !apierrors.IsNotFound(err):
		slog.ErrorContext(ctx, "object cannot be read from the cache, trying again", "kind", r.kind, "name", it.name.String(), "error", err)
		f.queue.AddRateLimited(it)
		return true
	}
	f.queue.Forget(it)
	return f.sink.Send(ctx, event) == nil
}

func nameOf(o client.Object) mesh.Name {
	return mesh.Name{Namespace: o.GetNamespace(), Name: o.GetName()}
}
