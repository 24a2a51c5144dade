package proxy

import (
	"context"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// inbound serves a connection to the own application. It is delivered to the address that was dialled. Only TLS that
// offers one of our protocols is terminated; the application's own goes through.
func (p *Proxy) inbound(_ context.Context, f *flow) step {
	to, err := p.opts.Original(f.conn)
	if err != nil {
		p.opts.Log.Warn("inbound connection without destination", "error", err.Error())
		return nil
	}
	in := p.Config().Inbound
	_, own := p.opts.Own(to)
	switch {
	case p.circular(to):
		return p.refuse(f, "circular")
	case !own: // redirected although it was not for this pod: nobody's way to other addresses
		return p.refuse(f, "not_own")
	case in == nil: // whether plain text is allowed is not known yet
		return p.refuse(f, "not_ready")
	}
	f.to, f.destination, f.peer = to, p.plan.Load().Inbound(to), f.conn.RemoteAddr().String()
	wait := detect.Wait
	switch {
	case in.Strict:
		wait = strictWait
	case declaresHTTP(f.destination.Protocol):
		wait = forward.DefaultIdle // HTTP clients speak first, when they like
	}
	verdict, err := p.sniffCounted(f, wait)
	switch {
	case err != nil || verdict.Kind == detect.Closed:
		return nil
	case verdict.Kind == detect.TLS && tlsx.Ours(verdict.ALPN):
		f.eitherHTTP = tlsx.EitherHTTP(verdict.ALPN)
		return p.mutual
	case in.Strict:
		return p.refuse(f, "plain_text")
	}
	return p.plainText(verdict, f)
}

// strictWait is how long a peer may take to begin its TLS where nothing else is accepted.
const strictWait = 5 * time.Second

// mutual ends the TLS of another sidecar.
func (p *Proxy) mutual(ctx context.Context, f *flow) step {
	secured, peer, err := p.tls.Accept(ctx, f.conn)
	if err != nil {
		if p.complaints.may(time.Now()) {
			p.opts.Log.Warn("inbound connection refused", "reason", err.Error())
		}
		p.opts.Counters.Refused(telemetry.Inbound, "tls")
		return nil
	}
	f.inside(secured)
	f.mtls = true
	f.source = config.Workload{Namespace: peer.ID.Namespace, Name: peer.ID.ServiceAccount, Identity: peer.ID.String()}
	switch {
	case f.eitherHTTP:
		return p.mutualHTTP
	case peer.ALPN == tlsx.HTTP1:
		return p.http
	case peer.ALPN == tlsx.HTTP2:
		return p.http2
	}
	f.protocol = string(f.destination.Protocol)
	return p.opaque
}

// mutualHTTP looks at a sidecar's connection that did not say in TLS which version of HTTP it speaks.
func (p *Proxy) mutualHTTP(_ context.Context, f *flow) step {
	verdict, err := f.sniff(forward.DefaultIdle)
	switch {
	case err != nil || verdict.Kind == detect.Closed || verdict.Kind == detect.Silent:
		return nil
	case verdict.Kind == detect.HTTP2:
		return p.http2
	}
	return p.http
}

// plainText is how to serve a connection from outside of the mesh.
func (p *Proxy) plainText(verdict detect.Verdict, f *flow) step {
	declared := f.destination.Protocol
	switch {
	case declared == config.Detect:
		return p.seen(verdict, f)
	case declaresHTTP(declared):
		return p.declaredHTTP(verdict, f)
	}
	f.protocol = string(declared)
	if verdict.Kind == detect.Silent {
		return p.silent
	}
	return p.opaque
}
