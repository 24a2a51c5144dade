package proxy

import (
	"sync/atomic"
	"time"
)

// complainEvery is the shortest time between two log lines about peers.
const complainEvery = time.Second

// limiter lets one through each complainEvery.
type limiter struct{ next atomic.Int64 }

// may tells whether this one goes through.
func (l *limiter) may(now time.Time) bool {
	next := l.next.Load()
	return now.UnixNano() >= next && l.next.CompareAndSwap(next, now.Add(complainEvery).UnixNano())
}
