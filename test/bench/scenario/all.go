package scenario

import (
	"crypto/tls"
	"fmt"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/load"
)

// Streams of HTTP/2 and gRPC, and the connections that carry them.
const (
	streams     = 64
	connections = 4
)

// All are the scenarios in the order in which they run.
func All() []Scenario {
	var all []Scenario
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, n := range []int{1, 32, 256} {
			all = append(all, http1(Plain, n, size))
		}
	}
	for _, size := range []int{1 << 10, 64 << 10} {
		all = append(all, http1(Pair, 32, size))
	}
	for _, shape := range []Shape{Plain, Pair} {
		all = append(all, http2(shape, 1<<10), http2(shape, 64<<10))
	}
	for _, shape := range []Shape{Plain, Pair} {
		all = append(all, grpc(shape, "unary", load.Unary), grpc(shape, "stream", load.Stream))
	}
	for _, shape := range []Shape{Plain, Pair} {
		all = append(all, bulk(shape), echo(shape))
	}
	return append(all, handshakes("x25519", tls.X25519), handshakes("x25519mlkem768", tls.X25519MLKEM768))
}

func http1(shape Shape, n, size int) Scenario {
	return Scenario{
		Name: fmt.Sprintf("%s/%d/%s", prefix("http1", shape), n, bytes(size)), Protocol: contender.HTTP1, Shape: shape, Unit: "request", Big: size >= 64<<10,
		Open: func(address string, _ *contender.Certificates) ([]load.Worker, error) {
			return load.HTTP1(address, fmt.Sprintf("/%d", size), size, n)
		},
	}
}

func http2(shape Shape, size int) Scenario {
	return Scenario{
		Name: fmt.Sprintf("%s/%d/%s", prefix("http2", shape), streams, bytes(size)), Protocol: contender.HTTP2, Shape: shape, Unit: "request", Big: size >= 64<<10,
		Open: func(address string, _ *contender.Certificates) ([]load.Worker, error) {
			return load.HTTP2(address, fmt.Sprintf("/%d", size), size, connections, streams/connections)
		},
	}
}

func grpc(shape Shape, kind string, open func(address string, connections, streams int) ([]load.Worker, error)) Scenario {
	unit := "call"
	if kind == "stream" {
		unit = "message"
	}
	return Scenario{
		Name: fmt.Sprintf("%s/%s/%d", prefix("grpc", shape), kind, streams), Protocol: contender.GRPC, Shape: shape, Unit: unit,
		Open: func(address string, _ *contender.Certificates) ([]load.Worker, error) {
			return open(address, connections, streams/connections)
		},
	}
}

// bulk is throughput of TCP: CPU time per MiB.
func bulk(shape Shape) Scenario {
	return Scenario{
		Name: prefix("tcp", shape) + "/4/bulk", Protocol: contender.TCP, Shape: shape, Unit: "MiB", Big: true, NoPace: true,
		Open: func(address string, _ *contender.Certificates) ([]load.Worker, error) {
			return load.Download(address, 4)
		},
	}
}

func echo(shape Shape) Scenario {
	return Scenario{
		Name: prefix("tcp", shape) + "/32/1KiB", Protocol: contender.TCP, Shape: shape, Unit: "message",
		Open: func(address string, _ *contender.Certificates) ([]load.Worker, error) {
			return load.Echo(address, 1<<10, 32)
		},
	}
}

// handshakes is new connections with mutual TLS to the server's sidecar, all with full handshakes.
func handshakes(name string, group tls.CurveID) Scenario {
	return Scenario{
		Name: "tls/new/" + name, Protocol: contender.TCP, Shape: Server, Unit: "connection", Hybrid: group == tls.X25519MLKEM768,
		Open: func(address string, c *contender.Certificates) ([]load.Worker, error) {
			return load.Handshakes(address, load.Files{Chain: c.Client.Chain, Key: c.Client.Key, Roots: c.Roots},
				[]tls.CurveID{group}, 8)
		},
	}
}
