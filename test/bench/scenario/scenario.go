// Package scenario is the list of what is measured.
package scenario

import (
	"fmt"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/load"
)

// Shape says which proxies stand between client and backend.
type Shape string

// The shapes.
const (
	Plain Shape = "plain" // one proxy, no TLS
	Pair  Shape = "pair"  // the client's sidecar, mutual TLS, the server's sidecar
	// Server is the server's sidecar alone: the load generator speaks mutual TLS itself.
	Server Shape = "server"
)

// Scenario is one way to load a proxy.
type Scenario struct {
	Name     string // "http1/32/1KiB"
	Protocol contender.Protocol
	Shape    Shape
	// Unit is what one operation is called.
	Unit string
	// Open connects to the first proxy; the certificates are the client's.
	Open func(address string, certificates *contender.Certificates) ([]load.Worker, error)
	// Hybrid makes the key exchange of TLS hybrid (X25519MLKEM768) instead of X25519; whoever cannot do that takes no part.
	Hybrid bool
	// Big says that 64 KiB or more come back at a time.
	Big bool
	// NoPace leaves out the latencies at a fixed rate.
	NoPace bool
}

func prefix(protocol string, shape Shape) string {
	if shape == Pair {
		return protocol + "-mtls"
	}
	return protocol
}

func bytes(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%dMiB", n>>20)
	}
	return fmt.Sprintf("%dKiB", n>>10)
}

// Names of all scenarios.
func Names() []string {
	var names []string
	for _, s := range All() {
		names = append(names, s.Name)
	}
	return names
}
