package plan

import (
	"net/netip"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/route"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// Port is a compiled config.Port.
type Port struct {
	// Plain serves connections as they come; nil: they must begin with TLS.
	Plain *Chain

	chains []*Chain // nil where Plain serves
	names  *route.ServerNames
}

// Chain is who serves a connection to a port, by the server name that its client asks for.
type Chain struct {
	// Key tells it apart from the others of the port, in later plans too.
	Key         ChainKey
	Destination *Destination
	// Terminates tells that TLS ends here; else it passes through, or there is none.
	Terminates bool
	// TLS is nil where none of the certificates is there.
	TLS *tlsx.Termination
}

// ChainKey names a chain.
type ChainKey struct {
	Port uint16
	TLS  bool
	Name string
}

// newPort compiles c. What prev, which may be nil, knows of TLS sessions is taken over.
func (p *Plan) newPort(prev *Port, c *config.Port) *Port {
	to := &Port{}
	if c.Plain != nil {
		to.Plain = &Chain{Key: ChainKey{Port: c.Number}, Destination: p.atPort(c, c.Plain)}
		return to
	}
	names := make([][]string, len(c.Chains))
	for i := range c.Chains {
		from := &c.Chains[i]
		names[i] = from.Names
		chain := &Chain{Key: ChainKey{c.Number, true, from.Key()}, Destination: p.atPort(c, from.Listener), Terminates: from.TLS != nil}
		if chain.Terminates {
			var before *tlsx.Termination
			if prev != nil {
				before = prev.termination(chain.Key)
			}
			chain.TLS = p.termination(before, from.TLS)
		}
		to.chains = append(to.chains, chain)
	}
	to.names = route.CompileServerNames(names)
	return to
}

func (p *Plan) atPort(c *config.Port, l *config.Listener) *Destination {
	return p.destination(netip.AddrPortFrom(netip.IPv6Unspecified(), c.Number), l)
}

func (p *Plan) termination(prev *tlsx.Termination, t *config.Termination) *tlsx.Termination {
	var certs []*config.Certificate
	for _, name := range t.Certificates {
		if c := p.Config.Certificates[name]; c != nil {
			certs = append(certs, c)
		}
	}
	return tlsx.NextTermination(prev, t, certs, p.Config.Roots[t.Clients])
}

func (o *Port) termination(key ChainKey) *tlsx.Termination {
	if c := o.chain(key); c != nil {
		return c.TLS
	}
	return nil
}

func (o *Port) chain(key ChainKey) *Chain {
	if o.Plain != nil && o.Plain.Key == key {
		return o.Plain
	}
	for _, c := range o.chains {
		if c.Key == key {
			return c
		}
	}
	return nil
}

// ServerName finds the chain for a server name, which is empty where the client names none; nil: there is none.
func (o *Port) ServerName(name string) *Chain {
	if i := o.names.Match(name); i != route.None {
		return o.chains[i]
	}
	return nil
}

// Port finds a port that the gateway opens; nil: it opens no such.
func (p *Plan) Port(number uint16) *Port { return p.ports[number] }

// Chain finds the chain that an earlier plan knew by that key; nil: it is gone.
func (p *Plan) Chain(key ChainKey) *Chain {
	if port := p.ports[key.Port]; port != nil {
		return port.chain(key)
	}
	return nil
}
