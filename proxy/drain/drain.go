// Package drain is how a proxy stops: it goes on serving until its application is gone, because an application that is
// told to stop still finishes its work over the network.
package drain

import (
	"context"
	"sync/atomic"
	"time"
)

// Counter counts connections in progress.
type Counter struct{ active atomic.Int64 }

// Enter counts one more; call the returned function once when it has ended.
func (c *Counter) Enter() (leave func()) {
	c.active.Add(1)
	return func() { c.active.Add(-1) }
}

// Active is how many are in progress.
func (c *Counter) Active() int64 { return c.active.Load() }

// Policy says when a draining proxy may end.
type Policy struct {
	// Max is the longest time, from the pod's grace period.
	Max time.Duration
	// Quiet is how long nothing must have happened: no connection, no sign of the application.
	Quiet time.Duration
	// Busy tells whether something is going on.
	Busy func() bool
}

// look is how often Wait looks.
const look = 50 * time.Millisecond

// Reason says why a drain ended.
type Reason string

// The reasons.
const (
	Done    Reason = "nothing left to serve"
	TooLong Reason = "time is up"
	Told    Reason = "told to end at once"
)

// Wait returns when the proxy may end, or when ctx ends (a second signal).
func Wait(ctx context.Context, p Policy) Reason {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	start := time.Now()
	quietSince := start
	for {
		now := time.Now()
		switch {
		case p.Busy():
			quietSince = now
		case now.Sub(quietSince) >= p.Quiet:
			return Done
		}
		if now.Sub(start) >= p.Max {
			return TooLong
		}
		select {
		case <-ctx.Done():
			return Told
		case <-ticker.C:
		}
	}
}
