package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// askTimeout is how long a new destination waits for the control plane before it counts as unknown.
const askTimeout = time.Second

// outbound serves a connection of the own application. The destination is what it dialled, an address and a port,
// never what a Host header says.
func (p *Proxy) outbound(ctx context.Context, conn net.Conn) {
	to, err := p.opts.Original(conn)
	if err != nil {
		p.opts.Log.Warn("outbound connection without destination", "error", err.Error())
		return
	}
	if p.circular(to) {
		p.refuse(telemetry.Outbound, conn, "circular")
		return
	}
	defer p.uses.begin(to)()
	d, registered := p.destination(ctx, to)
	f := flow{direction: telemetry.Outbound, source: p.self(), to: to, destination: d}
	switch {
	case d == nil:
		p.refuse(telemetry.Outbound, conn, notRegistered)
	case d.ByName:
		p.byName(ctx, conn, f)
	case !registered:
		p.opaque(ctx, conn, f) // nothing is known: touch nothing
	case d.Protocol == config.HTTP || d.Protocol == config.HTTP2 || d.Protocol == config.Detect:
		p.detect(ctx, conn, f)
	case d.ByServerName():
		p.passthrough(ctx, conn, f)
	default:
		f.protocol = string(d.Protocol)
		p.opaque(ctx, conn, f)
	}
}

// destination finds what the control plane says about an address. Unknown ones are reached as they are, by the host that their clients
// name, or not at all (nil), as the outbound policy says.
func (p *Proxy) destination(ctx context.Context, to netip.AddrPort) (d *plan.Destination, registered bool) {
	if d := p.ask(ctx, to); d != nil {
		return d, true
	}
	switch now := p.plan.Load(); now.Config.Policy {
	case config.OutboundDeny:
		return nil, false
	case config.OutboundRegistryOnly:
		p.ask(ctx, config.CatchAll(to.Port()))
		return p.plan.Load().ByName(to.Port()), false
	default:
		return now.Direct(to), false
	}
}

// ask finds what the control plane says about an address; nil: it knows no such, or does not answer.
func (p *Proxy) ask(ctx context.Context, to netip.AddrPort) *plan.Destination {
	d, known := p.plan.Load().Outbound(to)
	if known {
		return d
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if _, known = p.control.Outbound(ctx, to); known {
		d, _ = p.plan.Load().Outbound(to)
	}
	return d
}

// circular tells whether the connection would come back to the proxy itself.
func (p *Proxy) circular(to netip.AddrPort) bool {
	if !slices.Contains(p.opts.Reserved, to.Port()) {
		return false
	}
	_, own := p.opts.Own(to)
	return own || to.Addr().IsLoopback()
}

func (p *Proxy) refuse(direction telemetry.Direction, conn net.Conn, reason string) {
	p.opts.Counters.Refused(direction, reason)
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // a reset says no; an orderly end would look like an answer
	}
	_ = conn.Close()
}

// http serves HTTP/1.1 requests, each under the newest configuration.
func (p *Proxy) http(ctx context.Context, conn net.Conn, f flow) {
	p.forward.Serve(ctx, conn, p.client(f))
}

// http2 serves HTTP/2 requests, each under the newest configuration.
func (p *Proxy) http2(ctx context.Context, conn net.Conn, f flow) {
	p.forward.ServeHTTP2(ctx, conn, p.client(f))
}

// client is what is known of who sends requests.
func (p *Proxy) client(f flow) forward.Conn {
	type answer struct {
		from *plan.Plan
		to   *plan.Destination
	}
	var last atomic.Pointer[answer] // requests of one connection may ask at the same time
	last.Store(&answer{to: f.destination})
	return forward.Conn{
		Direction: f.direction, Source: f.source, MTLS: f.mtls, Client: f.client, Edge: edge(f), Unregistered: p.unregistered(f),
		Resolve: func() *plan.Destination {
			now, before := p.plan.Load(), last.Load()
			if now == before.from {
				return before.to
			}
			next := &answer{from: now, to: before.to}
			if f.direction == telemetry.Inbound {
				next.to = now.Inbound(f.to)
			} else if f.direction == telemetry.Gateway {
				if c := now.Chain(f.chain); c != nil {
					next.to = c.Destination
				}
			} else if f.destination.ByName {
				// What is not registered any more is not reached any more.
				if now.Config.Policy.Closes() {
					next.to = now.ByName(f.destination.Address.Port())
				}
			} else if d, _ := now.Outbound(f.to); d != nil {
				next.to = d
			}
			last.Store(next)
			return next.to
		},
	}
}

// edge is what backends are told of a gateway's client; nil for other connections.
func edge(f flow) *forward.Edge {
	if f.direction != telemetry.Gateway {
		return nil
	}
	address := f.client
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return &forward.Edge{Client: []byte(address), TLS: f.tls}
}

// detect serves a connection whose protocol nobody declared, or that may turn out to be another make of HTTP.
func (p *Proxy) detect(ctx context.Context, conn net.Conn, f flow) {
	wait := detect.Wait
	declared := declaresHTTP(f.destination.Protocol)
	switch {
	case declared:
		wait = forward.DefaultIdle // HTTP clients speak first, when they like
	case p.learnt.ServerFirst(f.to):
		wait = 0
	}
	start := time.Now()
	seen, verdict, err := detect.Sniff(conn, wait)
	if !declared { // a declared protocol is not detected, and its clients may rest before they speak
		p.opts.Counters.Detected(f.direction, verdict.Kind.String(), time.Since(start))
	}
	if err != nil {
		return
	}
	if declared {
		p.declaredHTTP(ctx, seen, verdict, f)
		return
	}
	p.serveSeen(ctx, seen, verdict, f)
}

// declaresHTTP tells whether a port's clients are known to speak HTTP, of whichever version.
func declaresHTTP(protocol config.Protocol) bool {
	return protocol == config.HTTP || protocol == config.HTTP2
}

// declaredHTTP serves a connection to a port that is declared as HTTP. Garbage gets its answer from the codec of the declared
// version; the application's own TLS passes as it is.
func (p *Proxy) declaredHTTP(ctx context.Context, conn *detect.Conn, verdict detect.Verdict, f flow) {
	switch verdict.Kind {
	case detect.HTTP2, detect.TLS:
		p.serveSeen(ctx, conn, verdict, f)
	case detect.Silent, detect.Closed:
	default:
		if f.destination.Protocol == config.HTTP2 && verdict.Kind != detect.HTTP1 {
			p.http2(ctx, conn, f)
			return
		}
		p.http(ctx, conn, f)
	}
}

// serveSeen serves a connection by what its first bytes look like.
func (p *Proxy) serveSeen(ctx context.Context, conn *detect.Conn, verdict detect.Verdict, f flow) {
	switch verdict.Kind {
	case detect.Silent:
		p.silent(ctx, conn, f)
	case detect.HTTP1:
		p.http(ctx, conn, f)
	case detect.HTTP2:
		p.http2(ctx, conn, f)
	case detect.TLS:
		f.protocol = string(config.TLS)
		p.opaque(ctx, conn, f)
	default:
		p.opaque(ctx, conn, f)
	}
}
