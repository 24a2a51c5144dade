package proxy

import (
	"context"
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// notRegistered is the reason in metrics of refusals by the outbound policy.
const notRegistered = "not_registered"

// byName serves a connection to an address that nobody has, by the host that its client names: TLS as a whole by the server name,
// HTTP request by request. It goes where the control plane says that the host is, never to the address that was dialled: a name is
// only a claim. What names no host, or one that is not registered, is refused.
func (p *Proxy) byName(ctx context.Context, conn net.Conn, f flow) {
	defer p.uses.begin(f.destination.Address)()
	start := time.Now()
	seen, verdict, err := detect.Sniff(conn, helloWait)
	p.opts.Counters.Detected(f.direction, verdict.Kind.String(), time.Since(start))
	switch {
	case err != nil || verdict.Kind == detect.Closed:
	case verdict.Kind == detect.HTTP1:
		p.http(ctx, seen, f)
	case verdict.Kind == detect.HTTP2:
		p.http2(ctx, seen, f)
	// A ClientHello that did not come to its end names nobody for sure.
	case verdict.Kind == detect.TLS && verdict.Whole:
		if d := f.destination.ServerName(verdict.SNI); d != nil {
			f.destination, f.protocol = d, string(config.TLS)
			p.opaque(ctx, seen, f)
			return
		}
		p.refuse(f.direction, conn, notRegistered)
		p.control.Refused(f.to, config.HostName(verdict.SNI))
	default:
		p.refuse(f.direction, conn, notRegistered)
		p.control.Refused(f.to, "")
	}
}

// unregistered counts and tells of requests that are refused for their host; nil where none is.
func (p *Proxy) unregistered(f flow) func([]byte) {
	if f.direction != telemetry.Outbound || !f.destination.ByName {
		return nil
	}
	to := f.to
	return func(authority []byte) {
		p.opts.Counters.Refused(telemetry.Outbound, notRegistered)
		p.control.Refused(to, config.HostName(string(authority)))
	}
}
