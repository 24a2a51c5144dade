// Package telemetry turns what happened to requests and connections into metrics and access log lines.
package telemetry

import (
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

// Direction tells on which side of the application a proxy stands.
type Direction string

// The directions.
const (
	Outbound Direction = "outbound"
	Inbound  Direction = "inbound"
	// Gateway is that of a proxy without application: from outside into the mesh.
	Gateway Direction = "gateway"
)

// Request is the record of one finished HTTP request. The sink must not keep it: it is used again.
type Request struct {
	Direction   Direction
	Source      config.Workload
	Destination config.Workload
	// Service is the destination as dialled, "namespace/name:port"; empty when it was a pod address.
	Service string
	// Origin is the route rule that decided; zero when no route is attached.
	Origin    config.Origin
	Protocol  string // "HTTP/1.1", "HTTP/2", "gRPC"
	Method    string
	Path      string
	Authority string
	// Code is what the client got; 0 when it went away before an answer began.
	Code int
	// GRPC is the grpc-status of a call, as it stands there; empty for other requests.
	GRPC string
	// Flag says why the proxy answered by itself or gave up (a code of package fail), empty when the backend answered.
	Flag     string
	MTLS     bool
	Peer     string // upstream address dialled, or downstream address for inbound
	Client   string // downstream address for gateways
	Start    time.Time
	Duration time.Duration
	BytesIn  int64 // request body bytes, from the client
	BytesOut int64 // response body bytes, to the client

	counted *requestHandle // where the metrics counted the record before
}

// Reset empties r for the next request. Where it comes from the same connection, it is counted a little faster.
func (r *Request) Reset() { *r = Request{counted: r.counted} }

// Connection is the record of one finished opaque connection.
type Connection struct {
	Direction   Direction
	Source      config.Workload
	Destination config.Workload
	Service     string
	Origin      config.Origin
	Protocol    string // "TCP", "TLS", "HTTP2"
	Flag        string
	MTLS        bool
	Peer        string
	Client      string
	Start       time.Time
	Duration    time.Duration
	BytesIn     int64
	BytesOut    int64
}

// Sink takes the records. Implementations are safe for concurrent use and do not block.
type Sink interface {
	Request(*Request)
	Connection(*Connection)
}
