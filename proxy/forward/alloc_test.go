//go:build !race

// Under the race detector sync.Pool forgets things on purpose.

package forward_test

import "testing"

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for name, version := range map[string]func(testing.TB, int) func(){"HTTP/1.1": steady, "HTTP/2": steady2} {
		for _, size := range []int{1 << 10, 64 << 10} {
			exchange := version(t, size)
			for range 100 { // buffers and tables reach their sizes
				exchange()
			}
			if n := testing.AllocsPerRun(1000, exchange); n > 0 {
				t.Errorf("%s: %v allocations per exchange of %d bytes", name, n, size)
			}
		}
	}
}
