package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/sock"
	"github.com/leno-mesh/leno/proxy/tcp"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// flow is a connection on its way through the proxy, and what is known of it.
type flow struct {
	conn        net.Conn // as it is read and written now: looked at, or inside of its TLS
	direction   telemetry.Direction
	source      config.Workload
	to          netip.AddrPort // what was dialled
	destination *plan.Destination
	protocol    string // for the record; empty: TCP
	mtls        bool   // of the downstream connection
	eitherHTTP  bool   // the client's TLS may carry HTTP of any version, whatever was agreed on
	tls         bool   // the client's TLS ended here
	peer        string // downstream address, for inbound
	client      string // downstream address, for gateways
	chain       plan.ChainKey

	start    time.Time  // for the record of what is no HTTP
	upstream *upstream  // where its bytes are relayed to
	result   tcp.Result // of relaying them

	ends []func()
}

// step does one thing with a connection, and returns what is to be done next; nil: nothing. All that found out what a connection
// is has returned by the time that it is served: one that rests holds no stack for it.
type step func(context.Context, *flow) step

// carrier is a handler that takes connections through their steps.
func (p *Proxy) carrier(direction telemetry.Direction, first step) func(context.Context, net.Conn) {
	return func(ctx context.Context, conn net.Conn) {
		f := p.begin(conn, direction)
		defer f.end()
		for next := first; next != nil; {
			next = next(ctx, f)
		}
	}
}

func (p *Proxy) begin(conn net.Conn, direction telemetry.Direction) *flow {
	f := &flow{conn: sock.Wrap(conn), direction: direction}
	f.atEnd(p.active.Enter())
	f.atEnd(p.opts.Counters.Opened(direction))
	return f
}

// atEnd has do called when the connection is over, whatever ends it; what was asked for last comes first.
func (f *flow) atEnd(do func()) { f.ends = append(f.ends, do) }

func (f *flow) end() {
	for _, do := range slices.Backward(f.ends) {
		do()
	}
}

// inside goes on inside of the client's TLS, which is closed when the connection is over.
func (f *flow) inside(secured net.Conn) {
	f.conn = secured
	f.atEnd(func() { _ = secured.Close() })
}

// sniff looks at the first bytes, for wait at most. Whoever reads the connection next gets them again.
func (f *flow) sniff(wait time.Duration) (detect.Verdict, error) {
	seen, verdict, err := detect.Sniff(f.conn, wait)
	f.conn = seen
	return verdict, err
}

// sniffCounted is sniff, and counts what was seen and how long it took.
func (p *Proxy) sniffCounted(f *flow, wait time.Duration) (detect.Verdict, error) {
	start := time.Now()
	verdict, err := f.sniff(wait)
	p.opts.Counters.Detected(f.direction, verdict.Kind.String(), time.Since(start))
	return verdict, err
}

// refuse ends a connection on purpose.
func (p *Proxy) refuse(f *flow, reason string) step {
	p.opts.Counters.Refused(f.direction, reason)
	tcp.Abort(f.conn) // an orderly end would look like an answer
	return nil
}

// failed ends a connection whose upstream could not be had, and records it.
func (p *Proxy) failed(f *flow, err error) step {
	p.opts.Log.Debug("no upstream for connection", "to", f.to.String(), "error", err.Error())
	record := f.record()
	record.Flag = fail.Of(fail.KindOf(err)).Flag
	p.opts.Sink.Connection(record)
	tcp.Abort(f.conn) // an orderly end would look like an answer
	return nil
}

func (f *flow) record() *telemetry.Connection {
	r := &telemetry.Connection{
		Direction: f.direction, Source: f.source, Destination: f.destination.Receiver, Service: f.destination.Service, Origin: f.destination.Origin,
		Protocol: f.protocol, MTLS: f.mtls, Peer: f.peer, Client: f.client, Start: f.start, Duration: time.Since(f.start),
	}
	if r.Protocol == "" {
		r.Protocol = string(config.TCP)
	}
	return r
}
