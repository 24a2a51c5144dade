package proxy

import (
	"context"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// notRegistered is the reason in metrics of refusals by the outbound policy.
const notRegistered = "not_registered"

// byName serves a connection to an address that nobody has, by the host that its client names: TLS as a whole by the server name,
// HTTP request by request. It goes where the control plane says that the host is, never to the address that was dialled: a name is
// only a claim. What names no host, or one that is not registered, is refused.
func (p *Proxy) byName(_ context.Context, f *flow) step {
	f.atEnd(p.uses.begin(f.destination.Address))
	verdict, err := p.sniffCounted(f, helloWait)
	host := ""
	switch {
	case err != nil || verdict.Kind == detect.Closed:
		return nil
	case verdict.Kind == detect.HTTP1:
		return p.http
	case verdict.Kind == detect.HTTP2:
		return p.http2
	// A ClientHello that did not come to its end names nobody for sure.
	case verdict.Kind == detect.TLS && verdict.Whole:
		if d := f.destination.ServerName(verdict.SNI); d != nil {
			f.destination, f.protocol = d, string(config.TLS)
			return p.opaque
		}
		host = config.HostName(verdict.SNI)
	}
	p.control.Refused(f.to, host)
	return p.refuse(f, notRegistered)
}

// unregistered counts and tells of requests that are refused for their host; nil where none is.
func (p *Proxy) unregistered(f *flow) func([]byte) {
	if f.direction != telemetry.Outbound || !f.destination.ByName {
		return nil
	}
	to := f.to
	return func(authority []byte) {
		p.opts.Counters.Refused(telemetry.Outbound, notRegistered)
		p.control.Refused(to, config.HostName(string(authority)))
	}
}
