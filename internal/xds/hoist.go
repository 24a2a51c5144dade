package xds

import (
	"slices"

	"github.com/leno-mesh/leno/internal/mesh"
)

// hoist is a rule that says the same with the filters of its only backend at the rule itself: there Envoy has a field for each,
// while a weighted cluster has some for headers and the host only, and the rest would be in metadata, which Envoy does not read.
func hoist(r *mesh.Rule) *mesh.Rule {
	if len(r.Backends) != 1 || r.Backends[0].Fail != nil || r.Backends[0].Weight == 0 || r.Filters.Redirect != nil {
		return r
	}
	rule, b := *r, r.Backends[0]
	f, own := &rule.Filters, b.Filters
	f.RequestHeaders = join(f.RequestHeaders, own.RequestHeaders)
	f.ResponseHeaders = join(f.ResponseHeaders, own.ResponseHeaders)
	f.Redirect = own.Redirect
	f.Rewrite = mergeRewrites(f.Rewrite, own.Rewrite)
	f.Mirrors = slices.Concat(f.Mirrors, own.Mirrors)
	b.Filters = mesh.Filters{}
	rule.Backends = []mesh.Backend{b}
	return &rule
}

// mergeRewrites takes each part from the backend's where it has one, since both speak of the path that was matched.
func mergeRewrites(rule, backend *mesh.Rewrite) *mesh.Rewrite {
	switch {
	case rule == nil:
		return backend
	case backend == nil:
		return rule
	}
	merged := *rule
	if backend.Hostname != "" {
		merged.Hostname = backend.Hostname
	}
	if backend.Path != nil {
		merged.Path = backend.Path
	}
	return &merged
}
