package plan

import "github.com/leno-mesh/leno/proxy/layer/persistence"

// At finds the backend of a rule that has the place of a session, whatever its weight is now; nil when the endpoint is gone.
func (d *Destination) At(r *Rule, place persistence.Place) *Backend {
	for i := range r.Backends {
		b := &r.Backends[i]
		if b.Fail != nil || b.Redirect != nil {
			continue
		}
		if c := d.Lookup(b.Cluster); c != nil && c.Place == place.Cluster && c.Balancer.At(place.Endpoint) != nil {
			return b
		}
	}
	return nil
}
