package xds

import (
	"slices"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// split says where header changes stand: at the rule, or at each backend. Envoy applies those of a weighted cluster before
// those of its route, while a backend's are more specific and come last (HTTPBackendRef.filters). So where a backend has
// some, those of the rule are joined with them, and the rule keeps none.
func split(r *mesh.Rule) (rule mesh.Filters, backends []mesh.Filters) {
	rule = mesh.Filters{RequestHeaders: r.Filters.RequestHeaders, ResponseHeaders: r.Filters.ResponseHeaders}
	backends = make([]mesh.Filters, len(r.Backends))
	request := slices.ContainsFunc(r.Backends, func(b mesh.Backend) bool { return b.Filters.RequestHeaders != nil })
	response := slices.ContainsFunc(r.Backends, func(b mesh.Backend) bool { return b.Filters.ResponseHeaders != nil })
	for i, b := range r.Backends {
		if request {
			backends[i].RequestHeaders = join(rule.RequestHeaders, b.Filters.RequestHeaders)
		}
		if response {
			backends[i].ResponseHeaders = join(rule.ResponseHeaders, b.Filters.ResponseHeaders)
		}
	}
	if request {
		rule.RequestHeaders = nil
	}
	if response {
		rule.ResponseHeaders = nil
	}
	return rule, backends
}

// join is one change that does what two do one after the other. Each is applied in the order remove, set, add.
func join(first, second *mesh.HeaderChange) *mesh.HeaderChange {
	if first == nil {
		return second
	}
	if second == nil {
		return first
	}
	undone := func(h mesh.Header) bool {
		same := func(name string) bool { return strings.EqualFold(name, h.Name) }
		return slices.ContainsFunc(second.Remove, same) ||
			slices.ContainsFunc(second.Set, func(s mesh.Header) bool { return same(s.Name) })
	}
	return &mesh.HeaderChange{
		Remove: slices.Concat(first.Remove, second.Remove),
		Set:    slices.Concat(slices.DeleteFunc(slices.Clone(first.Set), undone), second.Set),
		Add:    slices.Concat(slices.DeleteFunc(slices.Clone(first.Add), undone), second.Add),
	}
}
