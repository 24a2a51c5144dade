package proxy

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// http serves HTTP/1.1 requests, each under the newest configuration.
func (p *Proxy) http(ctx context.Context, f *flow) step {
	p.forward.Serve(ctx, f.conn, p.client(f))
	return nil
}

// http2 serves HTTP/2 requests, each under the newest configuration.
func (p *Proxy) http2(ctx context.Context, f *flow) step {
	p.forward.ServeHTTP2(ctx, f.conn, p.client(f))
	return nil
}

// client is what is known of who sends requests.
func (p *Proxy) client(f *flow) *forward.Conn {
	type answer struct {
		from *plan.Plan
		to   *plan.Destination
	}
	var last atomic.Pointer[answer] // requests of one connection may ask at the same time
	last.Store(&answer{to: f.destination})
	return &forward.Conn{
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
func edge(f *flow) *forward.Edge {
	if f.direction != telemetry.Gateway {
		return nil
	}
	address := f.client
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return &forward.Edge{Client: []byte(address), TLS: f.tls}
}
