// Package proxy is the data plane, composed: connections are accepted, looked at, taken out of mutual TLS, and their
// requests forwarded or their bytes relayed. Everything that belongs to a platform comes in through [Options], so that
// complete proxies run in a test, and without any redirection in the kernel.
package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/dns"
	"github.com/leno-mesh/leno/proxy/drain"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/sock"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// Control is where configuration comes from: an xdsclient.Client.
type Control interface {
	// Run keeps the configuration fresh until ctx ends.
	Run(ctx context.Context) error
	// Outbound asks for a destination and waits for the answer until ctx ends. The configuration was applied before it
	// returns.
	Outbound(ctx context.Context, to netip.AddrPort) (cfg *config.Config, known bool)
	// Release gives up a destination that is not used any more.
	Release(to netip.AddrPort)
	// Refused lets it know of a connection to an unknown destination that was refused, and the host that its client named, "" if none.
	Refused(to netip.AddrPort, host string)
}

// Options are the seams of a proxy. All fields without "optional" must be set.
type Options struct {
	// Listen opens the listeners of one direction. They are closed by the proxy. Optional beside Gateway.
	Listen func(telemetry.Direction) ([]net.Listener, error)
	// Original is where an accepted connection wanted to go. Optional beside Gateway.
	Original func(net.Conn) (netip.AddrPort, error)
	// Gateway makes the proxy one that has no application, and opens what its configuration says; optional.
	Gateway *Gateway
	// Dial makes TCP connections that are not captured again.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Lookup finds the addresses of names outside of the mesh; optional: the pod's own resolver is asked.
	Lookup dns.Lookup
	// Own tells whether an address is one of the own application, and where that really listens (the same address
	// wherever the kernel redirects).
	Own func(netip.AddrPort) (netip.AddrPort, bool)
	// Reserved are the proxy's own ports: connections to them at own or loopback addresses would run in circles.
	Reserved []uint16
	Identity identity.Source
	// Control makes the source of configuration. It must call apply with each new one, one at a time.
	Control func(apply func(*config.Config)) Control
	// Sink gets a record of each request and connection; optional.
	Sink     telemetry.Sink
	Counters *telemetry.Counters
	// OnConfig is told of each configuration after it has come to use; optional.
	OnConfig func(*config.Config)
	Log      *slog.Logger
	// Random is for weights and samples; optional.
	Random func() uint64
	// Idle is how long an opaque connection may rest; 0: an hour.
	Idle  time.Duration
	Drain Drain
}

// Gateway makes the sockets of a gateway.
type Gateway struct {
	// Listen opens a port for connections, at all addresses. The listeners are closed by the proxy.
	Listen func(port uint16) ([]net.Listener, error)
	// ListenDatagrams opens a listening socket. It is closed by the proxy.
	ListenDatagrams func(netip.AddrPort) (*net.UDPConn, error)
	// DialDatagrams makes a socket that is connected to an endpoint. Datagrams go as they are: mutual TLS does not cover them.
	DialDatagrams func(netip.AddrPort) (*net.UDPConn, error)
}

// Drain says how the proxy stops.
type Drain struct {
	// Settle is how long a gateway goes on as ever after it was told to stop, but for saying that it is not ready: clients come
	// until everybody knows that its endpoint is gone. It goes on longer while they do.
	Settle time.Duration
	// Max is the longest a drain may take; 0 ends at once.
	Max time.Duration
	// Quiet is how long nothing must be going on before the proxy ends.
	Quiet time.Duration
	// Application tells whether the application is still there; optional.
	Application func() bool
	// Abort ends the drain at once when it ends; optional.
	Abort context.Context
}

// Proxy is one data plane. Make it with [New].
type Proxy struct {
	opts    Options
	control Control
	dialer  *tlsx.Dialer
	pool    *pool.Pool
	streams *mux.Pool
	names   *dns.Resolver
	forward *forward.Server
	tls     *tlsx.Server
	learnt  detect.Learnt
	uses    uses
	sockets sockets
	ports   ports
	active  drain.Counter
	// accepted counts the connections to a gateway.
	accepted atomic.Int64
	// complaints bounds log lines that anybody on the network can cause.
	complaints limiter

	apply    sync.Mutex // serialises changes of plan; guards given, resolved and access
	given    *config.Config
	resolved map[*config.Cluster]resolved
	access   *bool                     // access log as set here; nil: as given
	plan     atomic.Pointer[plan.Plan] // never nil
	draining atomic.Bool
}

// New composes a proxy.
func New(opts Options) *Proxy {
	if opts.Random == nil {
		opts.Random = rand.Uint64
	}
	if opts.Sink == nil {
		opts.Sink = telemetry.Tee{}
	}
	if opts.Lookup == nil {
		opts.Lookup = dns.System
	}
	p := &Proxy{opts: opts, given: &config.Config{}}
	p.names = dns.New(opts.Lookup, p.again, opts.Log)
	p.plan.Store(plan.Next(nil, p.given))
	p.dialer = &tlsx.Dialer{
		Source: opts.Identity, Raw: p.dial, Own: opts.Own,
		Certificate: func(name string) *config.Certificate { return p.Config().Certificates[name] },
	}
	p.pool = pool.New(pool.Options{Dialer: p.dialer})
	p.streams = mux.NewPool(p.dialer, func(why error) {
		if flood := mux.Flood(why); flood != "" {
			opts.Counters.Flooded("upstream", flood)
		}
	})
	p.forward = forward.New(forward.Options{
		Pool: p.pool, Streams: p.streams, Sink: opts.Sink, Random: opts.Random, Pending: p.names.Pending,
		Flood:      func(d telemetry.Direction, reason string) { opts.Counters.Flooded(string(d), reason) },
		Authorized: opts.Counters.Authorized,
	})
	p.tls = tlsx.NewServer(opts.Identity)
	p.control = opts.Control(p.Apply)
	return p
}

// Apply brings a configuration to use. Connections that are open go on; their next request follows the new one.
func (p *Proxy) Apply(cfg *config.Config) {
	p.apply.Lock()
	defer p.apply.Unlock()
	p.given = cfg
	p.use()
}

// again brings the configuration to use with what has been found out since.
func (p *Proxy) again() {
	p.apply.Lock()
	defer p.apply.Unlock()
	p.use()
}

// SetAccessLog turns the access log on or off, whatever the configuration says; nil follows it again.
func (p *Proxy) SetAccessLog(on *bool) {
	p.apply.Lock()
	defer p.apply.Unlock()
	p.access = on
	p.use()
}

// use compiles what was given.
func (p *Proxy) use() {
	cfg := p.given
	if p.access != nil && *p.access != cfg.AccessLog {
		changed := *cfg
		changed.AccessLog = *p.access
		cfg = &changed
	}
	cfg = p.resolve(cfg)
	next := plan.Next(p.plan.Load(), cfg)
	if err := next.Err(); err != nil {
		p.opts.Log.Error("parts of the configuration cannot be used, their predecessors stay", "error", err.Error())
	}
	p.plan.Store(next)
	serves := next.Serves()
	keep := func(t pool.Target) bool { return serves(t.Address, t.Identity, t.TLS) }
	p.pool.Keep(keep)
	p.streams.Keep(keep)
	p.openSockets()
	p.openPorts()
	if p.opts.OnConfig != nil {
		p.opts.OnConfig(cfg)
	}
}

// Config is the configuration in effect.
func (p *Proxy) Config() *config.Config { return p.plan.Load().Config }

// Ready tells whether traffic may come; if not, what is missing.
func (p *Proxy) Ready() (ready bool, reason string) {
	if p.draining.Load() {
		return false, "stopping"
	}
	if _, err := p.opts.Identity.Identity(); err != nil {
		return false, err.Error()
	}
	if p.Config().Inbound == nil {
		return false, "no configuration from the control plane yet"
	}
	if p.opts.Gateway != nil {
		return p.portsReady()
	}
	return true, ""
}

// Run serves until ctx ends, then goes on until the application is done (see [Drain]), and returns.
func (p *Proxy) Run(ctx context.Context) error {
	serving, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer p.names.Close()
	failed := make(chan error, 3)
	var running sync.WaitGroup
	var listeners []net.Listener
	defer func() { closeAll(listeners) }()
	if p.opts.Gateway != nil {
		running.Go(func() { p.servePorts(serving) })
	} else {
		var err error
		if listeners, err = p.serveCaptured(serving, &running, failed); err != nil {
			return err
		}
	}
	running.Go(func() {
		if err := p.control.Run(serving); err != nil && serving.Err() == nil {
			failed <- fmt.Errorf("control plane client: %w", err)
		}
	})
	running.Go(func() { p.releaseIdle(serving) })
	running.Go(func() { p.serveDatagrams(serving) })

	var err error
	select {
	case <-ctx.Done():
		p.drain()
	case err = <-failed:
	}
	closeAll(listeners)
	cut()
	p.pool.Close()
	p.streams.Close()
	running.Wait()
	return err
}

// serveCaptured serves what is redirected to a sidecar, both ways. The listeners are the caller's to close, with an error too.
func (p *Proxy) serveCaptured(ctx context.Context, running *sync.WaitGroup, failed chan<- error) (listeners []net.Listener, err error) {
	for _, side := range []struct {
		direction telemetry.Direction
		first     step
	}{{telemetry.Outbound, p.outbound}, {telemetry.Inbound, p.inbound}} {
		opened, err := p.opts.Listen(side.direction)
		if err != nil {
			return listeners, fmt.Errorf("listen for %s connections: %w", side.direction, err)
		}
		listeners = append(listeners, opened...)
		for _, listener := range opened {
			running.Go(func() { p.serve(ctx, side.direction, listener, side.first, failed) })
		}
	}
	return listeners, nil
}

func (p *Proxy) serve(ctx context.Context, direction telemetry.Direction, listener net.Listener, first step, failed chan<- error) {
	if err := accept.Serve(ctx, listener, p.opts.Log, p.carrier(direction, first)); err != nil {
		select {
		case failed <- err:
		default: // one reason to end is enough
		}
	}
}

// dial makes a connection for the data path.
func (p *Proxy) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	conn, err := p.opts.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return sock.Wrap(conn), nil
}

// drain goes on serving, both ways, until the application is gone: it may need the network to finish its work. Clients
// learn from each answer that they should connect elsewhere.
func (p *Proxy) drain() {
	p.draining.Store(true)
	abort := p.opts.Drain.Abort
	if abort == nil {
		abort = context.Background()
	}
	start := time.Now()
	p.settle(abort)
	p.forward.Drain()
	left := p.opts.Drain.Max - time.Since(start)
	reason := drain.Wait(abort, drain.Policy{Max: left, Quiet: p.opts.Drain.Quiet, Busy: func() bool {
		return p.active.Active() > 0 || p.opts.Drain.Application != nil && p.opts.Drain.Application()
	}})
	p.opts.Log.Info("stopping", "reason", string(reason), "drained", time.Since(start).String(), "connections", p.active.Active())
}

// settle goes on as ever until clients have stopped to come, for half of the time that there is at most.
func (p *Proxy) settle(abort context.Context) {
	if p.opts.Drain.Settle == 0 {
		return
	}
	before := p.accepted.Load()
	drain.Wait(abort, drain.Policy{Max: p.opts.Drain.Max / 2, Quiet: p.opts.Drain.Settle, Busy: func() bool {
		now := p.accepted.Load()
		came := now != before
		before = now
		return came
	}})
}

// self is who we are, for metrics.
func (p *Proxy) self() config.Workload {
	if in := p.Config().Inbound; in != nil {
		return in.Workload
	}
	return config.Workload{}
}

func closeAll(listeners []net.Listener) {
	for _, listener := range listeners {
		_ = listener.Close()
	}
}
