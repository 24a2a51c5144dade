//go:build !race

// Under the race detector the calls of package syscall are used, whose errors are allocated.

package sock_test

import (
	"io"
	"testing"
)

func TestNothingIsAllocated(t *testing.T) {
	c, peer := pair(t)
	b := make([]byte, 64)
	n := testing.AllocsPerRun(100, func() {
		peer.Write(b)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, b); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for each read and write", n)
	}
}
