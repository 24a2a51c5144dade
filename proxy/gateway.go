package proxy

import (
	"context"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// fromOutside serves a connection to a port of a gateway. Where it goes is told by the port and, in TLS, by the server name.
func (p *Proxy) fromOutside(number uint16) step {
	return func(_ context.Context, f *flow) step {
		p.accepted.Add(1)
		port := p.plan.Load().Port(number)
		if port == nil { // the listener is about to be closed
			return p.refuse(f, "no_listener")
		}
		f.source, f.client = p.self(), f.conn.RemoteAddr().String()
		if port.Plain == nil {
			return p.byServerName(port, f)
		}
		f.chain, f.destination = port.Plain.Key, port.Plain.Destination
		if f.destination.Protocol == config.HTTP {
			return p.eitherHTTP
		}
		return p.opaque // at once: the server may have the first word
	}
}

// byServerName looks at a TLS connection, which passes through or ends here.
func (p *Proxy) byServerName(port *plan.Port, f *flow) step {
	f.start = time.Now()
	verdict, err := p.sniffCounted(f, helloWait)
	if err != nil || verdict.Kind == detect.Closed {
		return nil
	}
	// A ClientHello that did not come to its end may name a server after all: it belongs to no chain.
	if verdict.Kind != detect.TLS || !verdict.Whole {
		return p.refuse(f, "not_tls")
	}
	chain := port.ServerName(verdict.SNI)
	if chain == nil {
		return p.refuse(f, "server_name")
	}
	f.chain, f.destination = chain.Key, chain.Destination
	if !chain.Terminates {
		f.protocol = string(config.TLS)
		return p.opaque
	}
	return func(ctx context.Context, f *flow) step { return p.terminate(ctx, chain, f) }
}

// terminate ends the client's TLS.
func (p *Proxy) terminate(ctx context.Context, chain *plan.Chain, f *flow) step {
	if chain.TLS == nil {
		p.opts.Counters.Refused(f.direction, "no_certificate")
		return p.failed(f, &fail.Error{Kind: fail.NoCertificate})
	}
	secured, protocol, err := chain.TLS.Accept(ctx, f.conn)
	if err != nil {
		if p.complaints.may(time.Now()) {
			p.opts.Log.Warn("connection to the gateway refused", "listener", f.destination.Service, "reason", err.Error())
		}
		p.opts.Counters.Refused(f.direction, "tls")
		return nil
	}
	f.inside(secured)
	f.tls = true
	switch {
	case chain.Destination.Protocol != config.HTTP:
		return p.opaque
	case protocol == tlsx.HTTP2Name:
		return p.http2
	case protocol == tlsx.HTTP1Name:
		return p.http
	}
	return p.eitherHTTP
}

// eitherHTTP looks at a client of HTTP of a version that its first bytes tell. Garbage gets its answer from the codec.
func (p *Proxy) eitherHTTP(_ context.Context, f *flow) step {
	start := time.Now()
	verdict, err := f.sniff(forward.DefaultIdle)
	if err != nil || verdict.Kind == detect.Closed || verdict.Kind == detect.Silent {
		return nil
	}
	p.opts.Counters.Detected(f.direction, verdict.Kind.String(), time.Since(start))
	if verdict.Kind == detect.HTTP2 {
		return p.http2
	}
	return p.http
}
