package proxy

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/plan"
)

// resolved is a cluster with the endpoints that DNS told, kept so that it is the same pointer until they change.
type resolved struct {
	addresses []netip.Addr
	cluster   *config.Cluster
}

// resolve gives the clusters that go by a name the endpoints that are known now, and sees to it that they are kept fresh. p.apply is held.
func (p *Proxy) resolve(cfg *config.Config) *config.Config {
	hosts := map[string]time.Duration{}
	for _, c := range cfg.Clusters {
		if d := c.DNS; d != nil && (hosts[d.Host] == 0 || d.Refresh < hosts[d.Host]) {
			hosts[d.Host] = d.Refresh
		}
	}
	p.names.Use(hosts)
	known := p.resolved
	p.resolved = map[*config.Cluster]resolved{}
	if len(hosts) == 0 {
		return cfg
	}
	next := *cfg
	next.Clusters = maps.Clone(cfg.Clusters)
	for name, c := range cfg.Clusters {
		if c.DNS == nil {
			continue
		}
		addresses := p.names.Addresses(c.DNS.Host)
		one, ok := known[c]
		if !ok || !slices.Equal(one.addresses, addresses) {
			one = resolved{addresses, atAddresses(c, addresses)}
		}
		p.resolved[c], next.Clusters[name] = one, one.cluster
	}
	return &next
}

func atAddresses(c *config.Cluster, addresses []netip.Addr) *config.Cluster {
	next := *c
	next.Endpoints = make([]config.Endpoint, 0, len(addresses))
	for _, a := range addresses {
		next.Endpoints = append(next.Endpoints, config.Endpoint{Address: netip.AddrPortFrom(a, c.DNS.Port), TLS: c.TLS})
	}
	return &next
}

// known waits until it is known where the name of a cluster leads, and returns the cluster with that; at once where there is nothing to
// wait for.
func (p *Proxy) known(ctx context.Context, c *plan.Cluster) *plan.Cluster {
	if !c.Unresolved() {
		return c
	}
	if pending := p.names.Pending(c.Config.DNS.Host); pending != nil {
		select {
		case <-pending:
		case <-ctx.Done():
		}
	}
	if next := p.plan.Load().Cluster(c.Config.Name); next != nil {
		return next
	}
	return c
}
