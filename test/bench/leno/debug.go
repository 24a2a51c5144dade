package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime/metrics"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveDebug answers on loopback what the benchmark cannot see from outside; empty address: not at all.
func serveDebug(address string, registry *prometheus.Registry) error {
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("debug: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /allocs", allocs)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	go func() { _ = http.Serve(listener, mux) }() // ends with the process
	return nil
}

// allocs writes how many objects were allocated so far.
func allocs(w http.ResponseWriter, _ *http.Request) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(sample)
	_, _ = fmt.Fprintln(w, sample[0].Value.Uint64())
}
