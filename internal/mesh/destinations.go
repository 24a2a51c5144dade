package mesh

import "iter"

// Destinations are what requests of the rule may go to, mirrored ones and questions about them too; some more than once.
func (r *Rule) Destinations() iter.Seq[ServicePort] {
	return func(yield func(ServicePort) bool) {
		mirrors := func(list []Mirror) bool {
			for i := range list {
				if !yield(list[i].Backend) {
					return false
				}
			}
			return true
		}
		if a := r.Filters.ExternalAuth; a != nil && !yield(a.Server) || !mirrors(r.Filters.Mirrors) {
			return
		}
		for i := range r.Backends {
			if b := &r.Backends[i]; !yield(b.Service) || !mirrors(b.Filters.Mirrors) {
				return
			}
		}
	}
}

// Destinations are what connections may go to; none for nil.
func (s *Split) Destinations() iter.Seq[ServicePort] {
	return func(yield func(ServicePort) bool) {
		if s == nil {
			return
		}
		for i := range s.Backends {
			if !yield(s.Backends[i].Service) {
				return
			}
		}
	}
}
