// Package records keeps what proxies under test say of requests and connections.
package records

import (
	"sync"

	"github.com/leno-mesh/leno/proxy/telemetry"
)

// Records keeps what a proxy said of requests and connections.
type Records struct {
	mu          sync.Mutex // guards what follows
	requests    []telemetry.Request
	connections []telemetry.Connection
}

// Request implements telemetry.Sink.
func (r *Records) Request(record *telemetry.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, *record)
}

// Connection implements telemetry.Sink.
func (r *Records) Connection(record *telemetry.Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connections = append(r.connections, *record)
}

// Requests in one direction so far.
func (r *Records) Requests(direction telemetry.Direction) []telemetry.Request {
	return only(r, &r.requests, func(record telemetry.Request) bool { return record.Direction == direction })
}

// Connections in one direction so far.
func (r *Records) Connections(direction telemetry.Direction) []telemetry.Connection {
	return only(r, &r.connections, func(record telemetry.Connection) bool { return record.Direction == direction })
}

func only[R any](r *Records, records *[]R, want func(R) bool) []R {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []R
	for _, record := range *records {
		if want(record) {
			out = append(out, record)
		}
	}
	return out
}
