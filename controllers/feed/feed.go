// Package feed carries the cluster's news into the pipeline: what an object is now, or that it is gone. It has no
// opinions; those are the graph's. Objects are handed over as they are in the caches, not as copies: nobody changes them.
package feed

import (
	"context"
	"fmt"
	"log/slog"

	"k8s.io/apimachinery/pkg/api/meta"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/controllers/gatewayapi"
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
	stores   []toolscache.Store // by row, of those that are watched
}

// item names an object to look at again.
type item struct {
	row  int // in kinds
	name mesh.Name
}

// New makes a feed from a cache to a sink. material is the cache for certificates, which
// the feed runs: see [Material].
func New(from, material cache.Cache, mapper meta.RESTMapper, sink Sink) *Feed {
	return &Feed{cache: from, material: material, mapper: mapper, sink: sink, stores: make([]toolscache.Store, len(kinds)), queue: workqueue.NewTypedRateLimitingQueue(
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
		for _, obj := range f.stores[i].List() {
			if event, ok := f.news(ctx, r, obj); ok {
				all = append(all, event)
			}
		}
		all = append(all, r.told()...)
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
	informer, err := f.of(r).GetInformer(ctx, r.asked())
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("watch %s: %w: install Leno's custom resource definitions (config/crd)", r.kind, err)
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", r.kind, err)
	}
	if f.stores[i], err = gatewayapi.Store(informer); err != nil {
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

// next is the reconciler of every kind: it asks what the object is now and passes that on. False ends the feed.
func (f *Feed) next(ctx context.Context) bool {
	it, down := f.queue.Get()
	if down {
		return false
	}
	defer f.queue.Done(it)
	r := kinds[it.row]
	obj, there, err := f.stores[it.row].GetByKey(gatewayapi.Key(it.name))
	if err != nil {
		slog.ErrorContext(ctx, "object cannot be read from the cache, trying again", "kind", r.kind, "name", it.name.String(), "error", err)
		f.queue.AddRateLimited(it)
		return true
	}
	f.queue.Forget(it)
	event, ok := snapshot.Delete(r.kind, it.name), true
	if there {
		event, ok = f.news(ctx, r, obj)
	}
	return !ok || f.sink.Send(ctx, event) == nil
}

// news is what there is to say of an object in a cache; false: nothing. One that cannot be read stays what it was before, as all others
// do.
func (f *Feed) news(ctx context.Context, r row, obj any) (snapshot.Event, bool) {
	switch o := obj.(type) {
	case *gatewayapi.Object:
		name := nameOf(o).String()
		if o.Err != nil {
			slog.ErrorContext(ctx, "object does not fit what Leno knows of its kind and is not read: upgrade Leno, or change the object",
				"kind", r.kind, "name", name, "error", o.Err)
			return snapshot.Event{}, false
		}
		if o.Unknown.Any() && r.kind == snapshot.KindReferenceGrant {
			// It has no status to say so in, and an Event would be gone before the field is.
			slog.WarnContext(ctx, "object has fields without effect: upgrade Leno, or remove them", "kind", r.kind, "name", name, "fields", o.Unknown.Fields)
		}
		event := snapshot.Upsert(o.Object)
		event.Unknown = o.Unknown
		return event, true
	case client.Object:
		return snapshot.Upsert(o), true
	}
	return snapshot.Event{}, false
}

func nameOf(o client.Object) mesh.Name {
	return mesh.Name{Namespace: o.GetNamespace(), Name: o.GetName()}
}
