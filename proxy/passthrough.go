package proxy

import (
	"context"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/detect"
	"github.com/leno-mesh/leno/proxy/fail"
)

// helloWait is how long a client may take to begin its TLS where the server name decides: nobody else has the first word.
const helloWait = 5 * time.Second

// passthrough relays a TLS connection to where its server name leads. The handshake is between client and server; what
// was looked at goes on byte for byte. A name that no rule takes, and what is no TLS, is refused.
func (p *Proxy) passthrough(_ context.Context, f *flow) step {
	f.protocol, f.start = string(config.TLS), time.Now()
	verdict, err := p.sniffCounted(f, helloWait)
	if err != nil || verdict.Kind == detect.Closed {
		return nil
	}
	// A ClientHello that did not come to its end may name a server after all: it belongs to no rule.
	if verdict.Kind != detect.TLS || !verdict.Whole {
		p.opts.Counters.Refused(f.direction, "not_tls")
		return p.failed(f, &fail.Error{Kind: fail.NoHello})
	}
	d := f.destination.ServerName(verdict.SNI)
	if d == nil {
		p.opts.Counters.Refused(f.direction, "server_name")
		return p.failed(f, &fail.Error{Kind: fail.NoServerName})
	}
	f.destination = d
	return p.opaque
}
