// Package gateways makes what Gateways run on, and keeps it as it should be: it applies what internal/provision says, server side, with a
// field manager of its own. It works beside the path of events, like the writer of status, on the leader.
package gateways

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/provision"
)

// workers is how many Gateways are worked on at the same time. They wait for the API server, not for a core.
const workers = 4

// Backoff of a Gateway that cannot be brought up to date. What only people can mend is looked at again now and then, because nobody
// tells when they did.
const (
	retryFirst   = 100 * time.Millisecond
	retryMost    = time.Minute
	retryProblem = 30 * time.Second
)

// Config is what a Keeper works with.
type Config struct {
	Client client.Client // reads from the cache
	Live   client.Reader // reads from the API server: whose an object is must be known for sure
	Cache  cache.Cache
	Events events.EventRecorder
}

// Keeper makes and keeps the objects of Gateways while it leads. Every replica calls Set, so that a new leader knows at once what is
// wanted.
type Keeper struct {
	Config
	queue workqueue.TypedRateLimitingInterface[mesh.Name]
	// told is closed by the first Set.
	told chan struct{}

	mu    sync.Mutex // guards what follows
	wants map[mesh.Name]*mesh.Gateway
	known bool // told is closed
	// problems are what was told last of Gateways that cannot have what they need.
	problems map[mesh.Name]problem
}

// New makes a Keeper.
func New(c Config) *Keeper {
	return &Keeper{
		Config: c, told: make(chan struct{}), wants: map[mesh.Name]*mesh.Gateway{}, problems: map[mesh.Name]problem{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[mesh.Name](retryFirst, retryMost)),
	}
}

// Set replaces all wishes. It does not block, and keeps what it is given, which nobody must change. Gateways that need the same as
// before are not looked at again. What was made for a Gateway that is not wanted any more is removed if the Gateway's class belongs to
// another controller; if the Gateway is gone, the cluster's garbage collection does it; and else it stays, because a Gateway that is
// broken for a moment must not lose its address and its connections.
func (k *Keeper) Set(wants map[mesh.Name]*mesh.Gateway) {
	k.mu.Lock()
	before, first := k.wants, !k.known
	k.wants, k.known = wants, true
	k.mu.Unlock()
	if first {
		close(k.told)
	}
	for name, want := range wants {
		if old := before[name]; old == nil || !provision.Same(old, want) {
			k.queue.Add(name)
		}
	}
	for name := range before {
		if wants[name] == nil {
			k.queue.Add(name)
		}
	}
}

func (k *Keeper) want(name mesh.Name) *mesh.Gateway {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wants[name]
}

// touch looks again at the wanted Gateways of which something changed that they depend on.
func (k *Keeper) touch(concerns func(*mesh.Gateway) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, want := range k.wants {
		if concerns(want) {
			k.queue.Add(name)
		}
	}
}

// NeedLeaderElection is true: only one replica writes.
func (k *Keeper) NeedLeaderElection() bool { return true }

// Start works until ctx ends. It begins with the first Set: before that nobody knows what is not wanted.
func (k *Keeper) Start(ctx context.Context) error {
	go func() { <-ctx.Done(); k.queue.ShutDown() }()
	select {
	case <-k.told:
	case <-ctx.Done():
		return nil
	}
	if err := k.watch(ctx); err != nil {
		return err
	}
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for k.next(ctx) {
			}
		})
	}
	done.Wait()
	return nil
}

func (k *Keeper) next(ctx context.Context) bool {
	name, down := k.queue.Get()
	if down {
		return false
	}
	defer k.queue.Done(name)
	again, err := k.bring(ctx, name)
	if err != nil && ctx.Err() == nil {
		slog.InfoContext(ctx, "gateway not made as it should be, trying again", "gateway", name.String(), "error", err)
		k.queue.AddRateLimited(name)
		return true
	}
	k.queue.Forget(name)
	if again > 0 {
		k.queue.AddAfter(name, again)
	}
	return true
}
