// Package forward carries HTTP/1.1 requests from a downstream connection to backends and answers back. One goroutine
// does a whole exchange; a second one helps only while a request body streams or a tunnel is open.
package forward

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// ALPN is what two sidecars agree on before they speak HTTP/1.1 to each other over mutual TLS.
const ALPN = "leno-http/1.1"

// Limits in time. They are about peers that stall; how long a request may take is the routes' business.
const (
	// DefaultIdle is how long a downstream connection may rest between requests. Closing it first is a race with the
	// client's next request, so it is longer than any usual client's own limit.
	DefaultIdle = time.Hour
	// DefaultHeader is how long a head may take from its first byte: enough for a bad mobile link, little for slow loris.
	DefaultHeader = 20 * time.Second
	// stall is how long a peer may make no progress inside of a message.
	stall = 2 * time.Minute
	// hold is how long a resting connection keeps its buffers.
	hold = 4 * time.Second
	// look is how often a waiting exchange looks whether its client is still there.
	look = time.Second
	// grace is how long the rest of a request body may take after its response is complete.
	grace = time.Second
	// settle is how long clients that cannot be told better may still use a resting connection in a drain: about as long
	// as it takes until they know that the endpoint is going.
	settle = 2 * time.Second
	// lingerTime and lingerBytes bound what is read from a client before its connection is closed, so that the answer
	// is not lost to a TCP reset (RFC 9112 section 9.6).
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 10
)

// DefaultMaxInFlight bounds requests in one proxy; more are answered with 503 rather than with memory.
const DefaultMaxInFlight = 20000

// Options configure a Server. Zero values mean the defaults.
type Options struct {
	Pool    *pool.Pool
	Streams *mux.Pool // for HTTP/2
	Sink    telemetry.Sink
	Random  func() uint64 // for weights and samples
	// Pending tells what to wait for before a name has addresses; nil when it has, or nobody looks for them. Optional.
	Pending func(host string) <-chan struct{}
	// Flood is told of HTTP/2 connections, and of stalled streams, that a defence ended; optional.
	Flood func(d telemetry.Direction, reason string)
	// Authorized is told of each question to an authorization server; optional.
	Authorized func(d telemetry.Direction, server, outcome string, took time.Duration)

	Idle        time.Duration
	Header      time.Duration
	MaxInFlight int64
}

// Server serves any number of downstream connections.
type Server struct {
	opts     Options
	inFlight atomic.Int64
	draining atomic.Bool
	mirrors  atomic.Int64

	mu       sync.Mutex // guards sessions and streams
	sessions map[*session]struct{}
	streams  map[*streams]struct{}
}

// Conn is what is known of a downstream connection.
type Conn struct {
	Direction telemetry.Direction
	// Source is who sends: the own workload for outbound, the peer for inbound.
	Source config.Workload
	// Client is the downstream address, for gateways.
	Client string
	// Edge marks requests from outside of the mesh; nil for others.
	Edge *Edge
	// MTLS tells that the downstream connection itself is mutual TLS (inbound).
	MTLS bool
	// Resolve returns the destination under the newest plan. It is called for each request and must not return nil.
	Resolve func() *plan.Destination
	// Unregistered is told of a request whose host is not registered, where a destination goes by name. It may be nil elsewhere.
	Unregistered func(authority []byte)
}

// New returns a server.
func New(opts Options) *Server {
	if opts.Random == nil {
		opts.Random = rand.Uint64
	}
	if opts.Idle == 0 {
		opts.Idle = DefaultIdle
	}
	if opts.Header == 0 {
		opts.Header = DefaultHeader
	}
	if opts.MaxInFlight == 0 {
		opts.MaxInFlight = DefaultMaxInFlight
	}
	return &Server{opts: opts, sessions: map[*session]struct{}{}, streams: map[*streams]struct{}{}}
}

// Serve serves conn until it ends, and closes it. When ctx ends, the connection is cut at once, and the upstream
// connection of a request in progress with it. Wrappers of a connection should have NetConn, so that the socket can be
// watched while a backend is waited for, and CloseWrite, so that tunnels can half-close.
func (s *Server) Serve(ctx context.Context, conn net.Conn, c *Conn) {
	ses := &session{srv: s, conn: conn, c: c, ctx: ctx}
	s.mu.Lock()
	s.sessions[ses] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, ses.abort)

	ses.serve()

	stop()
	s.mu.Lock()
	delete(s.sessions, ses)
	s.mu.Unlock()
	conn.Close()
}

// Drain makes every further answer carry Connection: close and closes connections that rest between requests: those
// of other sidecars at once, since they can be told that nothing was processed, others if they stay silent a little
// longer. Connections may still be given to Serve; each is served one request.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.drainStreams()
	s.mu.Lock()
	defer s.mu.Unlock()
	for ses := range s.sessions {
		if !ses.resting.Load() {
			continue
		}
		wake := time.Now().Add(settle)
		if ses.peered() {
			wake = past
		}
		ses.conn.SetReadDeadline(wake) // it looks at draining then
	}
}

var past = time.Unix(1, 0)
