//go:build !race

package udp_test

import (
	"testing"

	"github.com/leno-mesh/leno/proxy/udp"
)

// A datagram there and back costs no allocation, and sessions that rest hold no buffer.
func TestDatagramsDoNotAllocate(t *testing.T) {
	s := start(t, udp.Options{}, server(t, ""))
	c := s.client()
	ask(t, c, "warm")
	out, in := []byte("hello"), make([]byte, 100)
	if n := testing.AllocsPerRun(200, func() {
		_, _ = c.Write(out)
		_, _ = c.Read(in)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
