//go:build !race

// Under the race detector sync.Pool forgets things on purpose.

package forward_test

import "testing"

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, size := range []int{1 << 10, 64 << 10} {
		exchange := steady(t, size)
		exchange()
		if n := testing.AllocsPerRun(1000, exchange); n > 0 {
			t.Errorf("%v allocations per exchange of %d bytes", n, size)
		}
	}
}
