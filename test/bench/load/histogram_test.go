package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsCoverAllValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		v := r.Uint64() >> (1 + r.IntN(62))
		i := bucket(v)
		if i < 0 || i >= buckets {
			t.Fatalf("%d: bucket %d of %d", v, i, buckets)
		}
		if top := upper(i); top < v || top-v > v>>(precision-2) {
			t.Fatalf("%d: bucket %d ends at %d", v, i, top)
		}
		if i > 0 && upper(i-1) >= v {
			t.Fatalf("%d: bucket %d, but the one before ends at %d", v, i, upper(i-1))
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	r := rand.New(rand.NewPCG(3, 4))
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := all[min(max(int(q*float64(len(all)))-1, 0), len(all)-1)]
		got := h.Quantile(q)
		if got < want || float64(got) > float64(want)*1.02+1 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	h.Add(-time.Second)
	if got := h.Quantile(0); got != 0 {
		t.Errorf("a negative duration counts as %v", got)
	}
}
