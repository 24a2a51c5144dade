// Package udp relays datagrams: one listening socket, and for each client address a session with a connected upstream
// socket of its own, so that only the endpoint that was picked can answer, and only to a client that has asked.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

const (
	// Idle is the default time without a datagram in either direction after which a session ends, as in Envoy.
	Idle = time.Minute
	// MaxSessions is the default bound on sessions. Each costs a file descriptor, a goroutine and about 4 KiB.
	MaxSessions = 10_000
	// maxDatagram is more than any datagram can carry: 65,507 bytes over IPv4, 65,527 over IPv6.
	maxDatagram = 64 << 10
)

// Errors that end a session.
var (
	ErrIdle = errors.New("idle timeout")
	ErrGone = errors.New("endpoint left the configuration")
)

// Options of a relay.
type Options struct {
	// Pick chooses the endpoint of a new session, and counts the session there; nil: there is none.
	Pick func() *lb.Endpoint
	// Dial makes an upstream socket that is connected to an endpoint.
	Dial func(netip.AddrPort) (*net.UDPConn, error)
	// Ended is told of each session when it has ended.
	Ended    func(Session)
	Counters *telemetry.Datagrams
	// Idle ends sessions; 0: the default.
	Idle time.Duration
	// MaxSessions bounds them; 0: the default. Clients beyond it are not served until a session ends. No session makes way
	// for a new one: source addresses can be forged, and whoever forges them must not end conversations that work.
	MaxSessions int
}

// Session is the record of one that ended.
type Session struct {
	Client   netip.AddrPort
	Endpoint *lb.Endpoint
	Start    time.Time
	ToServer int64 // bytes
	ToClient int64
	// Err says why it ended: ErrIdle, ErrGone, context.Canceled, or what the socket said, such as ECONNREFUSED.
	Err error
}

// Relay is one listening socket with its sessions. Make it with [New].
type Relay struct {
	opts   Options
	socket *net.UDPConn
	idle   atomic.Int64 // nanoseconds

	mu       sync.Mutex // guards what follows
	sessions map[netip.AddrPort]*session
	running  sync.WaitGroup // the sessions' goroutines
}

// New makes a relay for a listening socket, which it owns from now on. A reply leaves from the address that the socket is
// bound to: on a host with several addresses, bind it to the one that clients know.
func New(socket *net.UDPConn, opts Options) *Relay {
	if opts.MaxSessions == 0 {
		opts.MaxSessions = MaxSessions
	}
	r := &Relay{opts: opts, socket: socket, sessions: map[netip.AddrPort]*session{}}
	r.setIdle(opts.Idle)
	return r
}

func (r *Relay) setIdle(idle time.Duration) {
	if idle == 0 {
		idle = Idle
	}
	r.idle.Store(int64(idle))
}

// Run relays until ctx ends (nil) or the socket fails. All sessions have ended when it returns.
func (r *Relay) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = r.socket.Close() })
	defer stop()
	err := r.receive()
	_ = r.socket.Close()
	r.mu.Lock()
	for _, s := range r.sessions {
		s.end(context.Canceled)
	}
	r.mu.Unlock()
	r.running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// receive moves datagrams from clients to their sessions, one at a time: reading 32 with one system call took as much CPU
// for each, at a low rate and at saturation, and would keep 2 MiB of buffers.
func (r *Relay) receive() error {
	buffer := make([]byte, maxDatagram)
	for {
		n, client, err := r.socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return fmt.Errorf("receive datagrams at %v: %w", r.socket.LocalAddr(), err)
		}
		r.forward(client, buffer[:n])
	}
}

// forward gives one datagram to the client's session. When the session turns out to be broken, nothing of this datagram
// was sent, so another endpoint gets it.
func (r *Relay) forward(client netip.AddrPort, datagram []byte) {
	for range 2 {
		s, reason := r.session(client)
		if s == nil {
			r.opts.Counters.Dropped(reason)
			return
		}
		switch result := s.send(datagram); result {
		case sent:
			r.opts.Counters.ToServer(len(datagram))
			return
		case ended:
		default:
			r.opts.Counters.Dropped(result.reason())
			return
		}
	}
	r.opts.Counters.Dropped(telemetry.DropConnect)
}

// session finds the client's session, or begins one; nil: why there is none.
func (r *Relay) session(client netip.AddrPort) (*session, telemetry.Drop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[client]; s != nil {
		return s, 0
	}
	if len(r.sessions) >= r.opts.MaxSessions {
		return nil, telemetry.DropSessions
	}
	// The lock is held until the session is in the table: Update, which takes it too, then sees each session that was
	// begun under the configuration before.
	endpoint := r.opts.Pick()
	if endpoint == nil {
		return nil, telemetry.DropNoEndpoints
	}
	s, err := r.begin(client, endpoint)
	if err != nil {
		endpoint.Done() // it has not failed: making a socket is between us and the kernel
		return nil, telemetry.DropConnect
	}
	r.sessions[client] = s
	r.opts.Counters.Sessions(1)
	r.running.Go(s.run)
	return s, 0
}

// Update follows a new configuration: sessions whose endpoint it does not hold any more end, the others go on.
func (r *Relay) Update(idle time.Duration, holds func(*lb.Endpoint) bool) {
	r.setIdle(idle)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		if !holds(s.endpoint) {
			s.end(ErrGone)
		}
	}
}

// forget takes a session out of the table, so that the client's next datagram begins another.
func (r *Relay) forget(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.client] == s {
		delete(r.sessions, s.client)
	}
}

// Len is the number of sessions.
func (r *Relay) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}
