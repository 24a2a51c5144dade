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
	// worth is how much must have been allocated since the last time, in bytes, to make it worth the collection.
	worth = 2 << 20
)

// Release gives memory back to the kernel each time the proxy has become quiet, until ctx ends.
func Release(ctx context.Context) {
	release(ctx, allocated, func() {
		debug.FreeOSMemory() // pools keep what they have for one collection more
		debug.FreeOSMemory()
	})
}

func release(ctx context.Context, allocated func() uint64, free func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := allocated()
	freed := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := allocated()
		if now-last < quiet && now-freed > worth {
			free()
			now = allocated()
			freed = now
		}
		last = now
	}
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample[:])
	return sample[0].Value.Uint64()
}
