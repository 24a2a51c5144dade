// Package lb picks an endpoint for a request: the less busy of two random ones.
package lb

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/layer/persistence"
)

// Avoid is how long an endpoint that refused a connection gets no further request while others may be had: about as
// long as it takes until a dead pod is out of its EndpointSlice or a starting one listens.
const Avoid = 5 * time.Second

// Random returns 64 random bits; safe for concurrent use.
type Random func() uint64

// Balancer spreads requests over the endpoints of one cluster by power of two choices, least requests in flight. It is
// immutable; what it knows of an endpoint is shared with its successor.
type Balancer struct {
	endpoints []*Endpoint
	random    Random
}

// Endpoint is one address with what this proxy knows about it.
type Endpoint struct {
	config.Endpoint
	// Text is the address as telemetry shows it.
	Text string
	// Place stands for the endpoint in sessions.
	Place uint64
	*load
}

// load outlives the config that an endpoint came in.
type load struct {
	active  atomic.Int64
	avoided atomic.Int64 // unix nanoseconds until which it is avoided
}

// New makes a balancer for endpoints. Loads are taken over from prev by address; prev may be nil.
func New(prev *Balancer, endpoints []config.Endpoint, random Random) *Balancer {
	known := map[netip.AddrPort]*load{}
	if prev != nil {
		for _, e := range prev.endpoints {
			known[e.Address] = e.load
		}
	}
	b := &Balancer{random: random, endpoints: make([]*Endpoint, 0, len(endpoints))}
	for _, e := range endpoints {
		l := known[e.Address]
		if l == nil {
			l = new(load)
			known[e.Address] = l
		}
		b.endpoints = append(b.endpoints, &Endpoint{Endpoint: e, Text: e.Address.String(), Place: persistence.Endpoint(&e), load: l})
	}
	return b
}

// Pick chooses an endpoint and counts a request at it; call Done when it is over. not is an endpoint that was tried
// before, nil for none: it is picked only when nothing else is left. Nil: there are no endpoints.
func (b *Balancer) Pick(now time.Time, not *Endpoint) *Endpoint {
	e := b.choose(now.UnixNano(), not)
	if e != nil {
		e.active.Add(1)
	}
	return e
}

// At finds the endpoint of a session; nil when it is gone.
func (b *Balancer) At(place uint64) *Endpoint {
	for _, e := range b.endpoints {
		if e.Place == place {
			return e
		}
	}
	return nil
}

// PickAt is Pick for the session of an endpoint; nil when it is gone, or could not be connected to a moment ago.
func (b *Balancer) PickAt(now time.Time, place uint64) *Endpoint {
	e := b.At(place)
	if e == nil || !e.usable(now.UnixNano(), nil) {
		return nil
	}
	e.active.Add(1)
	return e
}

func (b *Balancer) choose(now int64, not *Endpoint) *Endpoint {
	n := uint64(len(b.endpoints))
	switch n {
	case 0:
		return nil
	case 1:
		return b.endpoints[0]
	}
	bits := b.random()
	i := (bits >> 32) % n
	j := (bits & 0xffffffff) % (n - 1)
	if j >= i {
		j++
	}
	one, two := b.endpoints[i], b.endpoints[j]
	usableOne, usableTwo := one.usable(now, not), two.usable(now, not)
	switch {
	case usableOne && usableTwo:
		if two.active.Load() < one.active.Load() {
			return two
		}
		return one
	case usableOne:
		return one
	case usableTwo:
		return two
	}
	return b.scan(now, not, i)
}

// scan looks at all when both choices are bad: first for a good one, then for any but the one that just failed.
func (b *Balancer) scan(now int64, not *Endpoint, start uint64) *Endpoint {
	n := uint64(len(b.endpoints))
	for k := range n {
		if e := b.endpoints[(start+k)%n]; e.usable(now, not) {
			return e
		}
	}
	for k := range n {
		if e := b.endpoints[(start+k)%n]; not == nil || e.load != not.load {
			return e
		}
	}
	return b.endpoints[start]
}

func (e *Endpoint) usable(now int64, not *Endpoint) bool {
	return (not == nil || e.load != not.load) && e.avoided.Load() <= now
}

// Len is the number of endpoints.
func (b *Balancer) Len() int { return len(b.endpoints) }

// Other tells whether there is an endpoint besides e.
func (b *Balancer) Other(e *Endpoint) bool {
	for _, o := range b.endpoints {
		if o.load != e.load {
			return true
		}
	}
	return false
}

// Endpoints lists the endpoints in the order of the config. The caller must not change it.
func (b *Balancer) Endpoints() []*Endpoint { return b.endpoints }

// Done tells that a picked endpoint's request is over.
func (e *Endpoint) Done() { e.active.Add(-1) }

// Active is the number of requests in flight at the endpoint.
func (e *Endpoint) Active() int64 { return e.active.Load() }

// Failed tells that the endpoint could not be connected to: it is avoided for a while.
func (e *Endpoint) Failed(now time.Time) { e.avoided.Store(now.Add(Avoid).UnixNano()) }

// Worked tells that a connection to the endpoint was made: it is avoided no longer.
func (e *Endpoint) Worked() {
	if e.avoided.Load() != 0 {
		e.avoided.Store(0)
	}
}
