package lb

import (
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

// Budget bounds the retries to one cluster (GEP-3388), so that a backend in trouble does not get more requests than one that is well. It is
// safe for concurrent use.
type Budget struct {
	config config.RetryBudget

	mu    sync.Mutex // guards the windows
	all   window     // of config.Interval
	floor window     // of config.MinInterval
}

// NewBudget makes a budget; nil for nil. It is prev, which may be nil, where that has the same bounds.
func NewBudget(prev *Budget, c *config.RetryBudget) *Budget {
	if c == nil {
		return nil
	}
	if prev != nil && prev.config == *c {
		return prev
	}
	return &Budget{config: *c, all: window{width: c.Interval}, floor: window{width: c.MinInterval}}
}

// Request counts a request that is no retry.
func (b *Budget) Request(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all.at(now).requests++
}

// Retry counts a retry, unless there may be none now.
func (b *Budget) Retry(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests, retries := b.all.sum(now)
	_, inAnyCase := b.floor.sum(now)
	// With this one, retries must not be more than their part of all requests.
	if (retries+1)*100 > uint64(b.config.Percent)*(requests+1) && inAnyCase >= uint64(b.config.MinRetries) {
		return false
	}
	for _, w := range []*window{&b.all, &b.floor} {
		slot := w.at(now)
		slot.requests++
		slot.retries++
	}
	return true
}

// slots is how many parts a window has: it moves on by one of them.
const slots = 10

// window counts what happened in the last width.
type window struct {
	width time.Duration
	slots [slots]slot
}

type slot struct {
	number            int64 // of its time since 1970, in parts of a window
	requests, retries uint64
}

func (w *window) number(now time.Time) int64 { return now.UnixNano() / max(int64(w.width/slots), 1) }

// at is the slot of the moment.
func (w *window) at(now time.Time) *slot {
	n := w.number(now)
	s := &w.slots[n%slots]
	if s.number != n {
		*s = slot{number: n}
	}
	return s
}

func (w *window) sum(now time.Time) (requests, retries uint64) {
	n := w.number(now)
	for i := range w.slots {
		if s := &w.slots[i]; s.number > n-slots && s.number <= n {
			requests += s.requests
			retries += s.retries
		}
	}
	return requests, retries
}
