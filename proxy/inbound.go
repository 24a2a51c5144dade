package proxy

import (
	"context"
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// inbound serves a connection to the own application. It is delivered to the address that was dialled. Only TLS that
// offers one of our protocols is terminated; the application's own goes through.
func (p *Proxy) inbound(ctx context.Context, conn net.Conn) {
	to, err := p.opts.Original(conn)
	if err != nil {
		p.opts.Log.Warn("inbound connection without destination", "error", err.Error())
		return
	}
	in := p.Config().Inbound
	_, own := p.opts.Own(to)
	switch {
	case p.circular(to):
		p.refuse(telemetry.Inbound, conn, "circular")
		return
	case !own: // redirected although it was not for this pod: nobody's way to other addresses
		p.refuse(telemetry.Inbound, conn, "not_own")
		return
	case in == nil: // whether plain text is allowed is not known yet
		p.refuse(telemetry.Inbound, conn, "not_ready")
		return
	}
	f := flow{
		direction: telemetry.Inbound, to: to, destination: p.plan.Load().Inbound(to), peer: conn.RemoteAddr().String(),
	}
	wait := detect.Wait
	switch {
	case in.Strict:
		wait = strictWait
	case declaresHTTP(f.destination.Protocol):
		wait = forward.DefaultIdle // HTTP clients speak first, when they like
	}
	start := time.Now()
	seen, verdict, err := detect.Sniff(conn, wait)
	p.opts.Counters.Detected(telemetry.Inbound, verdict.Kind.String(), time.Since(start))
	switch {
	case err != nil || verdict.Kind == detect.Closed:
	case verdict.Kind == detect.TLS && tlsx.Ours(verdict.ALPN):
		f.eitherHTTP = tlsx.EitherHTTP(verdict.ALPN)
		p.mutual(ctx, seen, f)
	case in.Strict:
		p.refuse(telemetry.Inbound, conn, "plain_text")
	default:
		p.plainText(ctx, seen, verdict, f)
	}
}

// strictWait is how long a peer may take to begin its TLS where nothing else is accepted.
const strictWait = 5 * time.Second

// mutual serves a connection from another sidecar.
func (p *Proxy) mutual(ctx context.Context, conn *detect.Conn, f flow) {
	secured, peer, err := p.tls.Accept(ctx, conn)
	if err != nil {
		if p.complaints.may(time.Now()) {
			p.opts.Log.Warn("inbound connection refused", "reason", err.Error())
		}
		p.opts.Counters.Refused(telemetry.Inbound, "tls")
		return
	}
	defer func() { _ = secured.Close() }()
	f.mtls = true
	f.source = config.Workload{Namespace: peer.ID.Namespace, Name: peer.ID.ServiceAccount, Identity: peer.ID.String()}
	switch {
	case f.eitherHTTP:
		p.mutualHTTP(ctx, secured, f)
		return
	case peer.ALPN == tlsx.HTTP1:
		p.http(ctx, secured, f)
		return
	case peer.ALPN == tlsx.HTTP2:
		p.http2(ctx, secured, f)
		return
	}
	f.protocol = string(f.destination.Protocol)
	p.opaque(ctx, secured, f)
}

// mutualHTTP serves a sidecar that did not say in TLS which version of HTTP it speaks.
func (p *Proxy) mutualHTTP(ctx context.Context, conn net.Conn, f flow) {
	seen, verdict, err := detect.Sniff(conn, forward.DefaultIdle)
	switch {
	case err != nil || verdict.Kind == detect.Closed || verdict.Kind == detect.Silent:
	case verdict.Kind == detect.HTTP2:
		p.http2(ctx, seen, f)
	default:
		p.http(ctx, seen, f)
	}
}

// plainText serves a connection from outside of the mesh.
func (p *Proxy) plainText(ctx context.Context, conn *detect.Conn, verdict detect.Verdict, f flow) {
	switch declared := f.destination.Protocol; {
	case declared == config.Detect:
		p.serveSeen(ctx, conn, verdict, f)
	case declaresHTTP(declared):
		p.declaredHTTP(ctx, conn, verdict, f)
	case verdict.Kind == detect.Silent:
		f.protocol = string(declared)
		p.silent(ctx, conn, f)
	default:
		f.protocol = string(declared)
		p.opaque(ctx, conn, f)
	}
}
