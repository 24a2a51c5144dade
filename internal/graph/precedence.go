package graph

import (
	"cmp"
	"slices"

	"github.com/leno-mesh/leno/internal/mesh"
)

// entry is one match of one rule of one route, with what decides its place among others.
type entry struct {
	mesh.Entry
	route       *route
	rule, match int   // places in the route
	call        *call // of a GRPCRoute
}

// precedence orders entries as HTTPRouteRule.matches asks for; each step decides only between those that are equal so far.
// Regular expressions have no place in the specification: here they come after exact paths and before prefixes, the longer
// expression first.
var precedence = []struct {
	purpose string
	compare func(a, b *entry) int
}{
	{"the method of a call", compareCalls},
	{"an exact path before an expression before a prefix", func(a, b *entry) int {
		return cmp.Compare(pathRank(a.Match.Path.Kind), pathRank(b.Match.Path.Kind))
	}},
	{"the longer path", func(a, b *entry) int { return cmp.Compare(len(b.Match.Path.Value), len(a.Match.Path.Value)) }},
	{"one with a method", func(a, b *entry) int { return cmp.Compare(hasMethod(b), hasMethod(a)) }},
	{"more headers", func(a, b *entry) int { return cmp.Compare(len(b.Match.Headers), len(a.Match.Headers)) }},
	{"more query parameters", func(a, b *entry) int { return cmp.Compare(len(b.Match.Query), len(a.Match.Query)) }},
	{"the oldest route", func(a, b *entry) int {
		return a.route.created.Compare(b.route.created)
	}},
	{"the first route by namespace/name", func(a, b *entry) int { return cmp.Compare(a.route.name.String(), b.route.name.String()) }},
	{"the first rule of the route", func(a, b *entry) int { return cmp.Compare(a.rule, b.rule) }},
	{"the first match of the rule", func(a, b *entry) int { return cmp.Compare(a.match, b.match) }},
}

func compareEntries(a, b *entry) int {
	for _, step := range precedence {
		if order := step.compare(a, b); order != 0 {
			return order
		}
	}
	return 0
}

// tableOf puts entries in order.
func tableOf(entries []*entry) *mesh.RouteTable {
	slices.SortFunc(entries, compareEntries)
	out := &mesh.RouteTable{Entries: make([]mesh.Entry, len(entries))}
	for i, e := range entries {
		out.Entries[i] = e.Entry
	}
	return out
}

func pathRank(kind mesh.PathMatchKind) int {
	switch kind {
	case mesh.PathExact:
		return 0
	case mesh.PathRegex:
		return 1
	default:
		return 2
	}
}

func hasMethod(e *entry) int {
	if e.Match.Method != "" {
		return 1
	}
	return 0
}
