package forward

import (
	"time"

	"github.com/leno-mesh/leno/proxy/layer"
	"github.com/leno-mesh/leno/proxy/layer/persistence"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
)

// stay is what is known of the session of one request. The zero value is for requests that are on their own.
type stay struct {
	policy  *persistence.Policy // that sessions begin by; nil: there are none
	place   persistence.Place   // of the request's session; zero: none yet
	cluster uint64              // of the current attempt
}

// pick chooses an endpoint: for a first attempt the one of the session, as long as it can be had.
func (s *stay) pick(c *plan.Cluster, now time.Time, last *lb.Endpoint) *lb.Endpoint {
	s.cluster = c.Place
	if last == nil && s.place != (persistence.Place{}) && s.place.Cluster == c.Place {
		if e := c.Balancer.PickAt(now, s.place.Endpoint); e != nil {
			return e
		}
	}
	return c.Balancer.Pick(now, last)
}

// begin tells the client of the endpoint that answered, unless its session was there already.
func (s *stay) begin(e *lb.Endpoint, r *msg.Response) {
	if s.policy == nil {
		return
	}
	if at := (persistence.Place{Cluster: s.cluster, Endpoint: e.Place}); at != s.place {
		s.policy.Start(r, at, time.Now())
	}
}

// change makes of the response of an endpoint what its client gets.
func (s *stay) change(r *msg.Response, layers []layer.Response, e *lb.Endpoint) {
	for _, l := range layers {
		l.Response(r)
	}
	s.begin(e, r)
}
