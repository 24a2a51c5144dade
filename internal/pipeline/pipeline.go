// Package pipeline turns news of the cluster into meshes: one goroutine owns the state, takes all news that came in while it
// was busy, and publishes what they mean.
package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// Options say where the results go. The callbacks run on the pipeline's goroutine: what they take, the next batch waits.
type Options struct {
	Graph graph.Options
	// Publish gets each new mesh. Required.
	Publish func(*mesh.Mesh)
	// Status gets the wanted status of all routes after each full build. Optional.
	Status func([]status.Want)
	// Observe hears of each batch that changed something. Optional.
	Observe func(Batch)
}

// Batch is what was done for some events.
type Batch struct {
	// Events taken together, at most one per object.
	Events int
	// Full is false when only endpoints were replaced.
	Full     bool
	Duration time.Duration
}

// Pipeline collects events and works them off. Use New.
type Pipeline struct {
	opts Options
	wake chan struct{} // holds one element while there is something to do

	mu      sync.Mutex // guards what follows
	pending map[snapshot.Ref]snapshot.Event
	synced  bool
}

// New makes a Pipeline. It does nothing before Run and Synced.
func New(opts Options) *Pipeline {
	return &Pipeline{opts: opts, wake: make(chan struct{}, 1), pending: map[snapshot.Ref]snapshot.Event{}}
}

// Send hands over news, in order. It does not wait for them to be worked off: while the pipeline is busy it keeps the latest
// news of each object, so that what it holds is bounded by the number of objects. It fails only when ctx is done.
func (p *Pipeline) Send(ctx context.Context, events ...snapshot.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	for _, e := range events {
		p.pending[e.Ref] = e
	}
	p.mu.Unlock()
	p.signal()
	return nil
}

// Synced says that everything the cluster had at the start was sent. Nothing is published before: half a cluster looks like
// one whose other half was deleted.
func (p *Pipeline) Synced() {
	p.mu.Lock()
	p.synced = true
	p.mu.Unlock()
	p.signal()
}

func (p *Pipeline) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx is done, and returns nil then. Run it once.
func (p *Pipeline) Run(ctx context.Context) error {
	w := worker{opts: p.opts, state: &snapshot.Snapshot{}}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		if events, synced := p.take(); synced {
			w.work(events)
		}
	}
}

// take empties the pending events, once the first list is complete.
func (p *Pipeline) take() ([]snapshot.Event, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.synced {
		return nil, false
	}
	out := make([]snapshot.Event, 0, len(p.pending))
	for _, e := range p.pending {
		out = append(out, e)
	}
	p.pending = map[snapshot.Ref]snapshot.Event{}
	return out, true
}

// worker owns the state.
type worker struct {
	opts  Options
	state *snapshot.Snapshot
	mesh  *mesh.Mesh // nil before the first build
}

// work takes in one batch and publishes what it means; a batch that tells nothing new is dropped.
func (w *worker) work(events []snapshot.Event) {
	start := time.Now()
	next := w.state.With(events)
	if next == w.state && w.mesh != nil {
		return
	}
	w.state = next
	if w.mesh != nil {
		quick := graph.Endpoints(next, w.mesh, w.opts.Graph)
		if quick == w.mesh {
			return
		}
		if quick != nil {
			w.mesh = quick
			w.opts.Publish(quick)
			w.observe(Batch{Events: len(events), Duration: time.Since(start)})
			return
		}
	}
	result := graph.Build(next, w.opts.Graph)
	w.mesh = result.Mesh
	w.opts.Publish(result.Mesh)
	if w.opts.Status != nil {
		w.opts.Status(result.Status)
	}
	w.observe(Batch{Events: len(events), Full: true, Duration: time.Since(start)})
}

func (w *worker) observe(b Batch) {
	if w.opts.Observe != nil {
		w.opts.Observe(b)
	}
}
