package proxy

import (
	"context"
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// fromOutside serves a connection to a port of a gateway. Where it goes is told by the port and, in TLS, by the server name.
func (p *Proxy) fromOutside(ctx context.Context, conn net.Conn, number uint16) {
	port := p.plan.Load().Port(number)
	if port == nil { // the listener is about to be closed
		p.refuse(telemetry.Gateway, conn, "no_listener")
		return
	}
	f := flow{direction: telemetry.Gateway, source: p.self(), client: conn.RemoteAddr().String()}
	if port.Plain == nil {
		p.byServerName(ctx, conn, port, f)
		return
	}
	f.chain, f.destination = port.Plain.Key, port.Plain.Destination
	if f.destination.Protocol == config.HTTP {
		p.eitherHTTP(ctx, conn, f)
		return
	}
	p.opaque(ctx, conn, f) // at once: the server may have the first word
}

// byServerName serves a TLS connection, which passes through or ends here.
func (p *Proxy) byServerName(ctx context.Context, conn net.Conn, port *plan.Port, f flow) {
	start := time.Now()
	seen, verdict, err := detect.Sniff(conn, helloWait)
	p.opts.Counters.Detected(f.direction, verdict.Kind.String(), time.Since(start))
	if err != nil || verdict.Kind == detect.Closed {
		return
	}
	// A ClientHello that did not come to its end may name a server after all: it belongs to no chain.
	if verdict.Kind != detect.TLS || !verdict.Whole {
		p.refuse(f.direction, conn, "not_tls")
		return
	}
	chain := port.ServerName(verdict.SNI)
	if chain == nil {
		p.refuse(f.direction, conn, "server_name")
		return
	}
	f.chain, f.destination = chain.Key, chain.Destination
	if !chain.Terminates {
		f.protocol = string(config.TLS)
		p.opaque(ctx, seen, f)
		return
	}
	p.terminate(ctx, seen, chain, f, start)
}

// terminate ends the client's TLS.
func (p *Proxy) terminate(ctx context.Context, conn *detect.Conn, chain *plan.Chain, f flow, start time.Time) {
	if chain.TLS == nil {
		p.opts.Counters.Refused(f.direction, "no_certificate")
		p.failed(conn, f, start, &fail.Error{Kind: fail.NoCertificate})
		return
	}
	secured, protocol, err := chain.TLS.Accept(ctx, conn)
	if err != nil {
		if p.complaints.may(time.Now()) {
			p.opts.Log.Warn("connection to the gateway refused", "listener", f.destination.Service, "reason", err.Error())
		}
		p.opts.Counters.Refused(f.direction, "tls")
		return
	}
	defer func() { _ = secured.Close() }()
	f.tls = true
	switch {
	case chain.Destination.Protocol != config.HTTP:
		p.opaque(ctx, secured, f)
	case protocol == tlsx.HTTP2Name:
		p.http2(ctx, secured, f)
	case protocol == tlsx.HTTP1Name:
		p.http(ctx, secured, f)
	default:
		p.eitherHTTP(ctx, secured, f)
	}
}

// eitherHTTP serves a client of HTTP of a version that its first bytes tell. Garbage gets its answer from the codec.
func (p *Proxy) eitherHTTP(ctx context.Context, conn net.Conn, f flow) {
	start := time.Now()
	seen, verdict, err := detect.Sniff(conn, forward.DefaultIdle)
	if err != nil || verdict.Kind == detect.Closed || verdict.Kind == detect.Silent {
		return
	}
	p.opts.Counters.Detected(f.direction, verdict.Kind.String(), time.Since(start))
	if verdict.Kind == detect.HTTP2 {
		p.http2(ctx, seen, f)
		return
	}
	p.http(ctx, seen, f)
}
