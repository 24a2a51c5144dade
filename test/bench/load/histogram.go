package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// precision is how many bits of a value are kept: a bucket is at most 1/128 of its values wide.
const precision = 7

// Values take 63 bits at most: one half-range of buckets per leading bit, and the exact ones.
const buckets = (64 - precision + 1) << (precision - 1)

// Histogram counts durations in buckets whose width grows with the value. It is safe for concurrent use.
type Histogram struct {
	counts [buckets]atomic.Uint32
	total  atomic.Int64
	most   atomic.Int64
}

// Add counts one duration; negative ones count as 0.
func (h *Histogram) Add(d time.Duration) {
	v := max(int64(d), 0)
	h.counts[bucket(uint64(v))].Add(1)
	h.total.Add(1)
	for old := h.most.Load(); v > old && !h.most.CompareAndSwap(old, v); old = h.most.Load() {
	}
}

// Count is how many durations were added.
func (h *Histogram) Count() int64 { return h.total.Load() }

// Quantile is the smallest duration that at least the part q (0 to 1) of all is not above, up to the bucket's width; 0
// when nothing was added.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.total.Load()
	need := int64(q * float64(total))
	if float64(need) < q*float64(total) {
		need++
	}
	var seen int64
	for i := range h.counts {
		seen += int64(h.counts[i].Load())
		if seen >= max(need, 1) {
			return min(time.Duration(upper(i)), time.Duration(h.most.Load()))
		}
	}
	return time.Duration(h.most.Load())
}

// bucket of a value: small ones have their own, others share one with all that have the same leading bits.
func bucket(v uint64) int {
	if v < 1<<precision {
		return int(v)
	}
	shift := bits.Len64(v) - precision
	return shift<<(precision-1) + int(v>>shift)
}

// upper is the largest value of a bucket.
func upper(i int) uint64 {
	if i < 1<<precision {
		return uint64(i)
	}
	shift := i>>(precision-1) - 1
	lead := uint64(i - shift<<(precision-1))
	return (lead+1)<<shift - 1
}
