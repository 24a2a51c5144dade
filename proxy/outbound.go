package proxy

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
)

// askTimeout is how long a new destination waits for the control plane before it counts as unknown.
const askTimeout = time.Second

// outbound serves a connection of the own application. The destination is what it dialled, an address and a port,
// never what a Host header says.
func (p *Proxy) outbound(ctx context.Context, f *flow) step {
	to, err := p.opts.Original(f.conn)
	if err != nil {
		p.opts.Log.Warn("outbound connection without destination", "error", err.Error())
		return nil
	}
	if p.circular(to) {
		return p.refuse(f, "circular")
	}
	f.atEnd(p.uses.begin(to))
	d, registered := p.destination(ctx, to)
	f.source, f.to, f.destination = p.self(), to, d
	switch {
	case d == nil:
		return p.refuse(f, notRegistered)
	case d.ByName:
		return p.byName
	case !registered:
		return p.opaque // nothing is known: touch nothing
	case d.Protocol == config.HTTP || d.Protocol == config.HTTP2 || d.Protocol == config.Detect:
		return p.detect
	case d.ByServerName():
		return p.passthrough
	}
	f.protocol = string(d.Protocol)
	return p.opaque
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

// detect looks at a connection whose protocol nobody declared, or that may turn out to be another make of HTTP.
func (p *Proxy) detect(_ context.Context, f *flow) step {
	if declaresHTTP(f.destination.Protocol) { // not counted: its protocol is not detected, and its clients may rest before they speak
		verdict, err := f.sniff(forward.DefaultIdle) // HTTP clients speak first, when they like
		if err != nil {
			return nil
		}
		return p.declaredHTTP(verdict, f)
	}
	wait := detect.Wait
	if p.learnt.ServerFirst(f.to) {
		wait = 0
	}
	verdict, err := p.sniffCounted(f, wait)
	if err != nil {
		return nil
	}
	return p.seen(verdict, f)
}

// declaresHTTP tells whether a port's clients are known to speak HTTP, of whichever version.
func declaresHTTP(protocol config.Protocol) bool {
	return protocol == config.HTTP || protocol == config.HTTP2
}

// declaredHTTP is how to serve a connection to a port that is declared as HTTP. Garbage gets its answer from the codec of the
// declared version; the application's own TLS passes as it is.
func (p *Proxy) declaredHTTP(verdict detect.Verdict, f *flow) step {
	switch verdict.Kind {
	case detect.HTTP2, detect.TLS:
		return p.seen(verdict, f)
	case detect.Silent, detect.Closed:
		return nil
	case detect.Opaque:
		if f.destination.Protocol == config.HTTP2 {
			return p.http2
		}
	case detect.HTTP1:
	}
	return p.http
}

// seen is how to serve a connection by what its first bytes look like.
func (p *Proxy) seen(verdict detect.Verdict, f *flow) step {
	switch verdict.Kind {
	case detect.Silent:
		return p.silent
	case detect.HTTP1:
		return p.http
	case detect.HTTP2:
		return p.http2
	case detect.TLS:
		f.protocol = string(config.TLS)
	case detect.Opaque, detect.Closed:
	}
	return p.opaque
}
