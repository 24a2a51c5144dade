// Package scenario is the list of what is measured.
package scenario

import (
	"fmt"
	"regexp"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/load"
)

// Shape says which proxies stand between client and backend.
type Shape string

// The shapes.
const (
	Plain Shape = "plain" // one proxy, no TLS
	Pair  Shape = "pair"  // the client's sidecar, mutual TLS, the server's sidecar
)

// Scenario is one way to load a proxy.
type Scenario struct {
	Name     string // "http1/32/1KiB"
	Protocol contender.Protocol
	Shape    Shape
	// Unit is what one operation is called.
	Unit string
	// Open connects to the first proxy.
	Open func(address string) ([]load.Worker, error)
	// NoPace leaves out the latencies at a fixed rate.
	NoPace bool
}

// Select gives the scenarios whose whole name the expression matches; an empty one: all.
func Select(expression string) ([]Scenario, error) {
	pattern, err := regexp.Compile("^(?:" + expression + ")$")
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	var chosen []Scenario
	for _, s := range All() {
		if expression == "" || pattern.MatchString(s.Name) {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

// All are the scenarios in the order in which they run.
func All() []Scenario {
	var all []Scenario
	for _, shape := range []Shape{Plain, Pair} {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
			for _, connections := range []int{1, 32, 256} {
				if shape == Pair && connections == 256 {
					continue
				}
				all = append(all, http1(shape, connections, size))
			}
		}
	}
	return all
}

func http1(shape Shape, connections, size int) Scenario {
	return Scenario{
		Name: fmt.Sprintf("%s/%d/%s", prefix("http1", shape), connections, bytes(size)), Protocol: contender.HTTP1, Shape: shape, Unit: "request",
		Open: func(address string) ([]load.Worker, error) {
			return load.HTTP1(address, fmt.Sprintf("/%d", size), size, connections)
		},
	}
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
