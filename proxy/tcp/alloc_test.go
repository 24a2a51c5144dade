//go:build !race

// Under the race detector sync.Pool forgets things on purpose.

package tcp_test

import (
	"testing"

	"github.com/leno-mesh/leno/proxy/tcp"
)

// A message there and back costs no allocation.
func TestMessagesDoNotAllocate(t *testing.T) {
	client, accepted := sockets(t)
	dialled, server := sockets(t)
	go tcp.New(0).Run(t.Context(), accepted, dialled)
	message, far := make([]byte, 1024), make([]byte, 1024)
	exchange := func() {
		_, _ = client.Write(message)
		_, _ = server.Read(far)
		_, _ = server.Write(far)
		_, _ = client.Read(message)
	}
	exchange()
	if n := testing.AllocsPerRun(200, exchange); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
