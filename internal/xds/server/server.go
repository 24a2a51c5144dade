// Package server serves the mesh to proxies over incremental (delta) ADS. A stream gets what it subscribed to by name,
// when its content changed, and nothing else.
package server

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
)

// Options configure a Server. The zero value is what production uses.
type Options struct {
	// Peer tells who is at the other end of a stream; nil: TLSPeer.
	Peer PeerFunc
	// Hold is how long a stream of a pod that the mesh does not have yet is kept waiting for it; 0: 10 s.
	Hold   time.Duration
	Limits Limits
	// Unknown is told of each address that a sidecar was asked to reach and that the mesh has nothing at, once per stream and host that
	// a client named there. It must not block. Optional.
	Unknown func(mesh.Sighting)
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: slog.Default
}

// Limits bound what one proxy can cost. Zero fields have the value that is named.
type Limits struct {
	// Names subscribed by one stream: 20,000, four for each of 5,000 destinations.
	Names int
	// NameLength in bytes: 512, more than two Kubernetes names, a port and a namespace can have.
	NameLength int
	// ResponseBytes is when a response is full and the rest goes into another one: 1 MiB.
	ResponseBytes int
	// Streams open for one node at a time: 4, its own and what a broken network has not closed yet.
	Streams int
	// Stall is how long a response may take to be sent: 30 s.
	Stall time.Duration
}

func (l Limits) withDefaults() Limits {
	l.Names = cmp.Or(l.Names, 20_000)
	l.NameLength = cmp.Or(l.NameLength, 512)
	l.ResponseBytes = cmp.Or(l.ResponseBytes, 1<<20)
	l.Streams = cmp.Or(l.Streams, 4)
	l.Stall = cmp.Or(l.Stall, 30*time.Second)
	return l
}

// Server is a discovery service. Its methods may be called from any goroutine.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	peer   PeerFunc
	hold   time.Duration
	limits Limits
	// unknown is never nil.
	unknown func(mesh.Sighting)
	now     func() time.Time
	log     *slog.Logger

	view  atomic.Pointer[view]
	stats counters

	mu      sync.Mutex // guards streams, what publishes views, and the Proxy in each stream
	streams map[*stream]struct{}
}

// New makes a server that has nothing to tell until Publish.
func New(o Options) *Server {
	s := &Server{
		peer: o.Peer, hold: cmp.Or(o.Hold, 10*time.Second), limits: o.Limits.withDefaults(),
		unknown: o.Unknown, now: o.Now, log: o.Log, streams: map[*stream]struct{}{},
	}
	if s.peer == nil {
		s.peer = TLSPeer
	}
	if s.unknown == nil {
		s.unknown = func(mesh.Sighting) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.view.Store(&view{cache: map[cacheKey]*answer{}})
	return s
}

// GRPCOptions are settings for the gRPC server that suit this service. A dead peer is noticed within 40 s; connections are
// renewed about every half hour, so that proxies spread over replicas and certificates are checked again.
func GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second,
			MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: 10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(32),
		grpc.MaxRecvMsgSize(4 << 20), // the first request carries the versions of all that a proxy has
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(g *grpc.Server) { discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, s) }

// Publish makes m, which nobody may change any more, what proxies are told. It does not wait for any of them.
func (s *Server) Publish(m *mesh.Mesh) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Store(s.view.Load().next(m))
	s.wake()
}

// PublishBundle makes the roots of the mesh, in PEM, what proxies are told to trust.
func (s *Server) PublishBundle(pem []byte) error {
	r, err := xds.TrustBundle(pem)
	if err != nil {
		return fmt.Errorf("publish trust bundle: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Store(s.view.Load().withBundle(r))
	s.wake()
	return nil
}

// wake tells each stream that there is a new view. A busy one finds it when it is done.
func (s *Server) wake() {
	for st := range s.streams {
		select {
		case st.wake <- struct{}{}:
		default:
		}
	}
}

// Proxy is what the server knows of a connected proxy.
type Proxy struct {
	Node      string // "sidecar~namespace/pod"
	Identity  string // SPIFFE id
	Connected time.Time
	Types     map[string]TypeState // by type URL
}

// TypeState is how far a proxy is with the resources of one type.
type TypeState struct {
	// Sent and Acked are generations of the published state, counted by this replica: 0 means none. When they are equal the
	// proxy has what it was sent last.
	Sent, Acked         uint64
	AckedAt             time.Time
	Nacks               uint64
	NackedAt            time.Time
	NackMessage         string // of the last nack, which names the resource and the field
	Subscribed, Unacked int    // names; responses without an answer
}

// Proxies lists the connected proxies by node.
func (s *Server) Proxies() []Proxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Proxy
	for st := range s.streams {
		if st.proxy.Node == "" {
			continue // not authenticated yet
		}
		list = append(list, st.proxy.clone())
	}
	slices.SortFunc(list, func(a, b Proxy) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), a.Connected.Compare(b.Connected))
	})
	return list
}

func (p Proxy) clone() Proxy {
	types := make(map[string]TypeState, len(p.Types))
	for k, v := range p.Types {
		types[k] = v
	}
	p.Types = types
	return p
}

// Stats are counters since the start, but for Streams and Generation.
type Stats struct {
	Generation uint64 // of the published state
	Streams    int    // open now
	Opened     uint64
	Denied     uint64 // refused for who they are
	Garbage    uint64 // closed for what they asked
	Slow       uint64 // closed because they did not read
	Responses  uint64
	Bytes      uint64 // of resources, before framing
	Acks       uint64
	Nacks      uint64
}

type counters struct {
	opened, denied, garbage, slow, responses, bytes, acks, nacks atomic.Uint64
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	streams := len(s.streams)
	s.mu.Unlock()
	c := &s.stats
	return Stats{
		Generation: s.view.Load().generation, Streams: streams, Opened: c.opened.Load(), Denied: c.denied.Load(),
		Garbage: c.garbage.Load(), Slow: c.slow.Load(), Responses: c.responses.Load(), Bytes: c.bytes.Load(),
		Acks: c.acks.Load(), Nacks: c.nacks.Load(),
	}
}
