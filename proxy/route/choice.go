package route

import "sort"

// Random returns 64 random bits; safe for concurrent use.
type Random func() uint64

// Choice picks one of several by weight.
type Choice struct {
	ends []uint64 // running sums of the weights
}

// NewChoice prepares a choice. Weights of 0 are never picked.
func NewChoice(weights []uint32) Choice {
	c := Choice{ends: make([]uint64, len(weights))}
	var sum uint64
	for i, w := range weights {
		sum += uint64(w)
		c.ends[i] = sum
	}
	return c
}

// Pick returns an index, or None when all weights are 0 or there are none.
func (c Choice) Pick(random Random) int {
	n := len(c.ends)
	if n == 0 || c.ends[n-1] == 0 {
		return None
	}
	if n == 1 {
		return 0
	}
	// The sum is far below 2^64, so the remainder's bias is too small to be seen.
	x := random() % c.ends[n-1]
	if n <= 8 {
		for i, end := range c.ends {
			if x < end {
				return i
			}
		}
	}
	return sort.Search(n, func(i int) bool { return x < c.ends[i] })
}
