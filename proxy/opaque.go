package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/tcp"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// attempts is how many endpoints an opaque connection tries: nothing was sent yet, so trying again is safe.
const attempts = 3

// upstream is an open connection to a picked endpoint.
type upstream struct {
	net.Conn
	endpoint *lb.Endpoint
}

// opaque relays a connection as it is.
func (p *Proxy) opaque(ctx context.Context, f *flow) step {
	f.start = time.Now()
	if err := p.connect(ctx, f); err != nil {
		return p.failed(f, err)
	}
	return p.relay
}

// silent serves a client that waits. The upstream is opened, and whoever speaks first decides: a server's greeting
// makes the connection opaque, a late request is still a request.
func (p *Proxy) silent(ctx context.Context, f *flow) step {
	f.start = time.Now()
	if err := p.connect(ctx, f); err != nil {
		return p.failed(f, err)
	}
	up := f.upstream
	client := f.conn.(*detect.Conn) // it was looked at, or it would not be known to be silent
	server := detect.Wrap(up.Conn)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // the client is closed by whoever accepted it
	verdict, serverSpoke, err := detect.First(client, server)
	stop()
	if f.direction == telemetry.Outbound && verdict.Kind != detect.Closed {
		// Not for inbound: a shortcut there could send a greeting to a sidecar whose ClientHello is on its way.
		p.learnt.Note(f.to, serverSpoke)
	}
	if next := p.lateSpeaker(verdict, f); err == nil && !serverSpoke && next != nil {
		up.endpoint.Done()
		_ = server.Close()
		return next
	}
	up.Conn = server
	return p.relay
}

// lateSpeaker finds who serves a client that was silent and then began something that is not to be relayed as it is.
func (p *Proxy) lateSpeaker(v detect.Verdict, f *flow) step {
	switch {
	case v.Kind == detect.TLS && f.direction == telemetry.Inbound && tlsx.Ours(v.ALPN): // a sidecar whose first packet was lost
		f.eitherHTTP = tlsx.EitherHTTP(v.ALPN)
		return p.mutual
	case v.Kind == detect.HTTP1 && f.destination.Protocol == config.Detect:
		return p.http
	case v.Kind == detect.HTTP2 && f.destination.Protocol == config.Detect:
		return p.http2
	}
	return nil
}

// connect opens a connection to an endpoint of the destination's cluster. Who does not relay to it tells the endpoint that it is done.
func (p *Proxy) connect(ctx context.Context, f *flow) error {
	cluster := f.destination.Choose(p.opts.Random)
	if cluster == nil {
		return &fail.Error{Kind: fail.NoEndpoints}
	}
	cluster = p.known(ctx, cluster)
	if bad := cluster.Config.Fail; bad != nil {
		return &fail.Error{Kind: fail.BadBackend, Detail: bad.Reason}
	}
	var tried *lb.Endpoint
	var last error
	for range min(attempts, max(cluster.Balancer.Len(), 1)) {
		endpoint := cluster.Balancer.Pick(time.Now(), tried)
		if endpoint == nil {
			return &fail.Error{Kind: fail.NoEndpoints}
		}
		conn, err := p.dialEndpoint(ctx, endpoint, f.passes())
		if err == nil {
			endpoint.Worked()
			f.upstream = &upstream{conn, endpoint}
			return nil
		}
		endpoint.Done()
		endpoint.Failed(time.Now())
		tried, last = endpoint, err
		if ctx.Err() != nil {
			break
		}
	}
	return &fail.Error{Kind: fail.ConnectFailed, Err: last}
}

// passes tells whether the client's own TLS ends at the endpoint.
func (f *flow) passes() bool { return f.protocol == string(config.TLS) }

// dialEndpoint connects to an endpoint. Where TLS passes, the endpoint's own is the client's: it is not spoken a second time around it.
func (p *Proxy) dialEndpoint(ctx context.Context, endpoint *lb.Endpoint, passes bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, pool.DefaultDialTimeout)
	defer cancel()
	target := pool.Target{Address: endpoint.Address, Identity: endpoint.Identity}
	if !passes {
		target.TLS = endpoint.TLS
	}
	if target.Identity != "" && target.TLS == nil {
		target.ALPN = tlsx.TCP
	}
	return p.dialer.Dial(ctx, target)
}

// relay moves bytes until the connection ends.
func (p *Proxy) relay(ctx context.Context, f *flow) step {
	f.atEnd(f.upstream.endpoint.Done)
	f.result = tcp.New(p.opts.Idle).Run(ctx, f.conn, f.upstream.Conn)
	return p.relayed
}

// relayed records a connection whose bytes were moved.
func (p *Proxy) relayed(_ context.Context, f *flow) step {
	endpoint := f.upstream.endpoint
	record := f.record()
	record.Destination = endpoint.Workload
	if f.direction != telemetry.Inbound {
		record.Peer = telemetry.Peer(endpoint.Address)
		_, own := p.opts.Own(endpoint.Address)
		record.MTLS = endpoint.Identity != "" && !own
	}
	record.BytesIn, record.BytesOut = f.result.ToServer, f.result.ToClient
	switch err := f.result.Err; {
	case errors.Is(err, tcp.ErrIdle):
		record.Flag = "idle_timeout"
	case errors.Is(err, context.Canceled):
		record.Flag = "stopped"
	case err != nil:
		record.Flag = "reset"
	}
	p.opts.Sink.Connection(record)
	return nil
}
