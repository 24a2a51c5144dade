// Package plan is a configuration made ready for requests: compiled route tables, balancers, layers in their order. A
// plan never changes its mind; what did not change is shared with its predecessor.
package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sort"
	"sync"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/layer/persistence"
	"github.com/leno-mesh/leno/proxy/lb"
)

// Plan is a compiled config.Config.
type Plan struct {
	Config    *config.Config
	outbound  map[netip.AddrPort]*Destination
	datagrams map[netip.AddrPort]*Destination
	ports     map[uint16]*Port
	clusters  map[string]*Cluster
	routes    map[string]*Routes
	err       error

	mu      sync.RWMutex // guards inbound, which fills as the pod's ports are used
	inbound map[netip.AddrPort]*Destination
}

// Cluster is a compiled config.Cluster.
type Cluster struct {
	Config   *config.Cluster
	Balancer *lb.Balancer
	// Persistence keeps clients at an endpoint where no rule says how; nil: each request is on its own.
	Persistence *persistence.Policy
	// Budget bounds retries; nil: it does not.
	Budget *lb.Budget
	// Place stands for the cluster in sessions.
	Place uint64
}

// Unresolved tells that the cluster goes by a name for which there is no address yet.
func (c *Cluster) Unresolved() bool { return c.Config.DNS != nil && c.Balancer.Len() == 0 }

// Next compiles cfg. Tables and balancers of prev (which may be nil) whose config kept its pointer are taken over; loads
// of endpoints survive in any case.
func Next(prev *Plan, cfg *config.Config) *Plan { return next(prev, cfg, rand.Uint64) }

func next(prev *Plan, cfg *config.Config, random func() uint64) *Plan {
	if prev == nil {
		prev = &Plan{}
	}
	p := &Plan{
		Config:    cfg,
		outbound:  make(map[netip.AddrPort]*Destination, len(cfg.Outbound)),
		datagrams: make(map[netip.AddrPort]*Destination, len(cfg.Datagrams)),
		ports:     make(map[uint16]*Port, len(cfg.Ports)),
		clusters:  make(map[string]*Cluster, len(cfg.Clusters)),
		routes:    make(map[string]*Routes, len(cfg.Routes)),
	}
	for name, c := range cfg.Clusters {
		p.clusters[name] = nextCluster(prev.clusters[name], c, random)
	}
	var errs []error
	for name, t := range cfg.Routes {
		r, err := nextRoutes(prev.routes[name], t)
		if err != nil {
			errs = append(errs, err)
		}
		p.routes[name] = r
	}
	for addr, l := range cfg.Outbound {
		if l != nil {
			p.outbound[addr] = p.destination(addr, l)
		}
	}
	for addr, d := range cfg.Datagrams {
		p.datagrams[addr] = p.destination(addr, &config.Listener{
			Name: d.Name, Origin: d.Origin, Protocol: config.UDP, Shares: d.Shares, Service: d.Service,
		})
	}
	for number, c := range cfg.Ports {
		p.ports[number] = p.newPort(prev.ports[number], c)
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	p.err = errors.Join(errs...)
	return p
}

func nextCluster(prev *Cluster, c *config.Cluster, random lb.Random) *Cluster {
	if prev == nil {
		prev = &Cluster{}
	}
	if prev.Config == c {
		return prev
	}
	return newCluster(c, prev, random)
}

// newCluster compiles c. Loads and budgets are taken over from prev.
func newCluster(c *config.Cluster, prev *Cluster, random lb.Random) *Cluster {
	return &Cluster{
		Config: c, Balancer: lb.New(prev.Balancer, c.Endpoints, random), Place: persistence.Cluster(c.Name),
		Persistence: persistence.Compile(c.Persistence), Budget: lb.NewBudget(prev.Budget, c.RetryBudget),
	}
}

// Err tells which route tables could not be compiled; their predecessors stay in use, and without one their requests
// are answered with 500. Tables that package config has checked never get here.
func (p *Plan) Err() error { return p.err }

// Destination is where a connection leads to, as one plan sees it.
type Destination struct {
	Address netip.AddrPort
	// Listener is nil for inbound and direct destinations.
	Listener *config.Listener
	Protocol config.Protocol
	Origin   config.Origin
	// Service is "namespace/name:port"; empty for addresses of pods.
	Service string
	// Routes decide about HTTP requests; nil: all go to Cluster.
	Routes *Routes
	// Cluster takes what routes do not decide; nil when the control plane named one that does not exist. Connections that
	// are relayed as they are ask Choose, which knows of weights.
	Cluster *Cluster
	// Receiver is who receives, for inbound destinations.
	Receiver  config.Workload
	AccessLog bool
	// MaxRequestBody bounds request bodies, in bytes; 0: no limit.
	MaxRequestBody int64
	// ByName tells that connections to any address go by the host that they name, or not at all. Routes is not nil then.
	ByName bool

	plan   *Plan
	shares *shares      // nil: Cluster takes all connections that are relayed
	names  *serverNames // nil: the server name makes no difference
}

// Cluster finds a cluster; nil if there is none of that name.
func (p *Plan) Cluster(name string) *Cluster { return p.clusters[name] }

// Lookup finds a cluster; nil if there is none of that name.
func (d *Destination) Lookup(name string) *Cluster { return d.plan.Cluster(name) }

func (p *Plan) destination(addr netip.AddrPort, l *config.Listener) *Destination {
	d := &Destination{
		Address: addr, Listener: l, Protocol: l.Protocol, Origin: l.Origin, Service: l.Service,
		Cluster: p.clusters[l.Cluster], AccessLog: p.Config.AccessLog, MaxRequestBody: l.MaxRequestBody, ByName: l.ByName, plan: p,
	}
	d.shares, d.names = p.newShares(l.Shares), p.serverNames(d, l.SNI)
	if l.Routes != "" {
		d.Routes = p.routes[l.Routes]
		if d.Routes == nil {
			d.Routes = broken(fmt.Sprintf("route table %s is missing", l.Routes))
		}
	}
	return d
}

// Outbound finds the destination an application dials. known is false when the config says nothing about it yet; a nil
// destination that is known: the control plane knows no such address.
func (p *Plan) Outbound(addr netip.AddrPort) (d *Destination, known bool) {
	if d := p.outbound[addr]; d != nil {
		return d, true
	}
	_, known = p.Config.Outbound[addr]
	return nil, known
}

// Inbound is the destination of traffic to the pod's own application at addr.
func (p *Plan) Inbound(addr netip.AddrPort) *Destination {
	p.mu.RLock()
	known := p.inbound[addr]
	p.mu.RUnlock()
	if known != nil {
		return known
	}
	var protocol config.Protocol
	var receiver config.Workload
	var origin config.Origin
	var most int64
	if in := p.Config.Inbound; in != nil {
		protocol, receiver, origin = in.Protocols[addr.Port()], in.Workload, in.Origin
		most = in.MaxRequestBody
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.inbound[addr]; known != nil {
		return known
	}
	d := p.fixed(addr, protocol, receiver, origin)
	d.MaxRequestBody = most
	if p.inbound == nil {
		p.inbound = map[netip.AddrPort]*Destination{}
	}
	p.inbound[addr] = d
	return d
}

// Direct is a destination that the mesh does not know, reached in plain text at its own address.
func (p *Plan) Direct(addr netip.AddrPort) *Destination {
	return p.fixed(addr, config.Detect, config.Workload{}, config.Origin{})
}

func (p *Plan) fixed(addr netip.AddrPort, protocol config.Protocol, receiver config.Workload, origin config.Origin) *Destination {
	c := &config.Cluster{Name: addr.String(), Origin: origin, Protocol: protocol,
		Endpoints: []config.Endpoint{{Address: addr, Workload: receiver}}}
	return &Destination{Address: addr, Protocol: protocol, Origin: origin, Receiver: receiver, Service: receiver.Service,
		Cluster: newCluster(c, &Cluster{}, rand.Uint64), AccessLog: p.Config.AccessLog, plan: p}
}

// Serves tells whether any cluster still has an endpoint at addr with that identity, spoken to in that TLS; connections to others
// should not be kept. Inbound addresses are plain and not in clusters: identity and TLS are empty for them, and they are kept.
func (p *Plan) Serves() func(addr netip.AddrPort, identity string, tls *config.BackendTLS) bool {
	type key struct {
		addr     netip.AddrPort
		identity string
		tls      *config.BackendTLS
	}
	known := map[key]bool{}
	for _, c := range p.clusters {
		for _, e := range c.Config.Endpoints {
			known[key{e.Address, e.Identity, e.TLS}] = true
		}
	}
	return func(addr netip.AddrPort, identity string, tls *config.BackendTLS) bool {
		return known[key{addr, identity, tls}] || identity == "" && tls == nil
	}
}
