package plan

import (
	"net/netip"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/route"
)

// shares spreads connections, or sessions of datagrams, over clusters by weight.
type shares struct {
	clusters []*Cluster // nil where no valid backend stands
	choice   route.Choice
}

func (p *Plan) newShares(list []config.Share) *shares {
	if len(list) == 0 {
		return nil
	}
	s := &shares{clusters: make([]*Cluster, len(list))}
	weights := make([]uint32, len(list))
	for i := range list {
		s.clusters[i], weights[i] = p.clusters[list[i].Cluster], list[i].Weight
	}
	s.choice = route.NewChoice(weights)
	return s
}

// Choose picks who takes a connection that is relayed as it is; nil: nobody can.
func (d *Destination) Choose(random route.Random) *Cluster {
	if d.shares == nil {
		return d.Cluster
	}
	if i := d.shares.choice.Pick(random); i != route.None {
		return d.shares.clusters[i]
	}
	return nil
}

// Holds tells whether what Choose picks can have an endpoint at addr with that identity.
func (d *Destination) Holds(addr netip.AddrPort, identity string) bool {
	clusters := []*Cluster{d.Cluster}
	if d.shares != nil {
		clusters = d.shares.clusters
	}
	for _, c := range clusters {
		if c == nil {
			continue
		}
		for i := range c.Config.Endpoints {
			if e := &c.Config.Endpoints[i]; e.Address == addr && e.Identity == identity {
				return true
			}
		}
	}
	return false
}

// serverNames are the destinations behind one address, by what a TLS client asks for.
type serverNames struct {
	matcher *route.ServerNames
	rules   []*Destination
}

func (p *Plan) serverNames(d *Destination, rules []config.SNIRule) *serverNames {
	if len(rules) == 0 {
		return nil
	}
	names := make([][]string, len(rules))
	s := &serverNames{rules: make([]*Destination, len(rules))}
	for i := range rules {
		names[i] = rules[i].Names
		one := *d
		one.Origin, one.shares = rules[i].Origin, p.newShares(rules[i].Shares)
		s.rules[i] = &one
	}
	s.matcher = route.CompileServerNames(names)
	return s
}

// ByServerName tells whether the server name decides about TLS connections.
func (d *Destination) ByServerName() bool { return d.names != nil }

// ServerName finds the destination for a server name, which is empty where the client names none; nil: no rule takes it.
func (d *Destination) ServerName(name string) *Destination {
	if d.names == nil {
		return nil
	}
	if i := d.names.matcher.Match(name); i != route.None {
		return d.names.rules[i]
	}
	return nil
}

// Datagrams finds the destination of the socket at addr; nil when the configuration knows none.
func (p *Plan) Datagrams(addr netip.AddrPort) *Destination { return p.datagrams[addr] }
