package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/tcp"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// flow is what is known of a connection on its way through the proxy.
type flow struct {
	direction   telemetry.Direction
	source      config.Workload
	to          netip.AddrPort // what was dialled
	destination *plan.Destination
	protocol    string // for the record; empty: TCP
	mtls        bool   // of the downstream connection
	eitherHTTP  bool   // the client's TLS may carry HTTP of any version, whatever was agreed on
	peer        string // downstream address, for inbound
	client      string // downstream address, for gateways
	chain       plan.ChainKey
	tls         bool // the client's TLS ended here
}

// attempts is how many endpoints an opaque connection tries: nothing was sent yet, so trying again is safe.
const attempts = 3

// upstream is an open connection to a picked endpoint.
type upstream struct {
	net.Conn
	endpoint *lb.Endpoint
}

// opaque relays a connection as it is.
func (p *Proxy) opaque(ctx context.Context, conn net.Conn, f flow) {
	start := time.Now()
	up, err := p.connect(ctx, f)
	if err != nil {
		p.failed(conn, f, start, err)
		return
	}
	p.relayTo(ctx, conn, up, f, start)
}

// silent serves a client that waits. The upstream is opened, and whoever speaks first decides: a server's greeting
// makes the connection opaque, a late request is still a request.
func (p *Proxy) silent(ctx context.Context, conn *detect.Conn, f flow) {
	start := time.Now()
	up, err := p.connect(ctx, f)
	if err != nil {
		p.failed(conn, f, start, err)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = up.Close() }) // conn is closed by whoever accepted it
	server := detect.Wrap(up.Conn)
	verdict, serverSpoke, err := detect.First(conn, server)
	stop()
	if f.direction == telemetry.Outbound && verdict.Kind != detect.Closed {
		// Not for inbound: a shortcut there could send a greeting to a sidecar whose ClientHello is on its way.
		p.learnt.Note(f.to, serverSpoke)
	}
	if next := p.lateSpeaker(verdict, f); err == nil && !serverSpoke && next != nil {
		up.endpoint.Done()
		_ = up.Close()
		next(ctx, conn, f)
		return
	}
	up.Conn = server
	p.relayTo(ctx, conn, up, f, start)
}

// lateSpeaker finds who serves a client that was silent and then began something that is not to be relayed as it is.
func (p *Proxy) lateSpeaker(v detect.Verdict, f flow) func(context.Context, *detect.Conn, flow) {
	switch {
	case v.Kind == detect.TLS && f.direction == telemetry.Inbound && tlsx.Ours(v.ALPN):
		return func(ctx context.Context, conn *detect.Conn, f flow) { // a sidecar whose first packet was lost
			f.eitherHTTP = tlsx.EitherHTTP(v.ALPN)
			p.mutual(ctx, conn, f)
		}
	case v.Kind == detect.HTTP1 && f.destination.Protocol == config.Detect:
		return func(ctx context.Context, conn *detect.Conn, f flow) { p.http(ctx, conn, f) }
	case v.Kind == detect.HTTP2 && f.destination.Protocol == config.Detect:
		return func(ctx context.Context, conn *detect.Conn, f flow) { p.http2(ctx, conn, f) }
	}
	return nil
}

// connect opens a connection to an endpoint of the destination's cluster.
func (p *Proxy) connect(ctx context.Context, f flow) (*upstream, error) {
	cluster := f.destination.Choose(p.opts.Random)
	if cluster == nil {
		return nil, &fail.Error{Kind: fail.NoEndpoints}
	}
	cluster = p.known(ctx, cluster)
	if bad := cluster.Config.Fail; bad != nil {
		return nil, &fail.Error{Kind: fail.BadBackend, Detail: bad.Reason}
	}
	var tried *lb.Endpoint
	var last error
	for range min(attempts, max(cluster.Balancer.Len(), 1)) {
		endpoint := cluster.Balancer.Pick(time.Now(), tried)
		if endpoint == nil {
			return nil, &fail.Error{Kind: fail.NoEndpoints}
		}
		conn, err := p.dialEndpoint(ctx, endpoint, f.passes())
		if err == nil {
			endpoint.Worked()
			return &upstream{conn, endpoint}, nil
		}
		endpoint.Done()
		endpoint.Failed(time.Now())
		tried, last = endpoint, err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, &fail.Error{Kind: fail.ConnectFailed, Err: last}
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

// relayTo moves bytes until the connection ends, and records it.
func (p *Proxy) relayTo(ctx context.Context, conn net.Conn, up *upstream, f flow, start time.Time) {
	defer up.endpoint.Done()
	result := p.relay(ctx, conn, up.Conn)
	record := f.record(start)
	record.Destination = up.endpoint.Workload
	if f.direction != telemetry.Inbound {
		record.Peer = telemetry.Peer(up.endpoint.Address)
		_, own := p.opts.Own(up.endpoint.Address)
		record.MTLS = up.endpoint.Identity != "" && !own
	}
	record.BytesIn, record.BytesOut = result.ToServer, result.ToClient
	switch {
	case errors.Is(result.Err, tcp.ErrIdle):
		record.Flag = "idle_timeout"
	case errors.Is(result.Err, context.Canceled):
		record.Flag = "stopped"
	case result.Err != nil:
		record.Flag = "reset"
	}
	p.opts.Sink.Connection(record)
}

// failed refuses a connection whose upstream could not be had, and records it.
func (p *Proxy) failed(conn net.Conn, f flow, start time.Time, err error) {
	p.opts.Log.Debug("no upstream for connection", "to", f.to.String(), "error", err.Error())
	record := f.record(start)
	record.Flag = fail.Of(fail.KindOf(err)).Flag
	p.opts.Sink.Connection(record)
	if wrapped, ok := conn.(*detect.Conn); ok {
		conn = wrapped.NetConn()
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // the client should see that there is nobody, not an empty conversation
	}
	_ = conn.Close()
}

func (f *flow) record(start time.Time) *telemetry.Connection {
	r := &telemetry.Connection{
		Direction: f.direction, Source: f.source, Destination: f.destination.Receiver, Service: f.destination.Service, Origin: f.destination.Origin,
		Protocol: f.protocol, MTLS: f.mtls, Peer: f.peer, Client: f.client, Start: start, Duration: time.Since(start),
	}
	if r.Protocol == "" {
		r.Protocol = string(config.TCP)
	}
	return r
}
