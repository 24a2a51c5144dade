package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// When memory is given back. A garbage collection comes with the allocations that need it: a proxy that was busy and is
// not any more would keep its garbage, its pooled buffers and its grown stacks until the next one, two minutes later, and
// its pools for one more.
const (
	// every is how often it is looked whether the proxy has become quiet.
	every = 5 * time.Second
	// quiet is how much a proxy may allocate between two looks and still be quiet, in bytes: enough for the control plane's
	// pings and for Prometheus, little for traffic.
	quiet = 1 << 20
	// worth is how much must have been allocated since the last time, in bytes, to make it worth the collection; ended is
	// the same in goroutines that have ended: connections that close allocate nothing.
	worth = 2 << 20
	ended = 100
)

// use is what a proxy has used.
type use struct {
	allocated  uint64 // bytes, ever
	goroutines uint64 // now
}

// Release gives memory back to the kernel each time the proxy has become quiet, until ctx ends. What the Go runtime itself
// keeps for later is not in reach: a few hundred bytes for each goroutine and each socket that there ever were at once.
func Release(ctx context.Context) {
	release(ctx, read, func() {
		debug.FreeOSMemory() // pools keep what they have for one collection more
		debug.FreeOSMemory()
		unmapCode()
	})
}

func release(ctx context.Context, read func() use, free func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := read()
	var done use // when memory was given back last; zero: never, and the start has left something
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := read()
		done.goroutines = max(done.goroutines, now.goroutines)
		enough := done.allocated == 0 || now.allocated-done.allocated > worth || done.goroutines-now.goroutines > ended
		if now.allocated-last.allocated < quiet && enough {
			free()
			now = read()
			done = now
		}
		last = now
	}
}

func read() use {
	samples := [2]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(samples[:])
	return use{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}
