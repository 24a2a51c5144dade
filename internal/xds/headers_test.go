package xds

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/internal/mesh"
)

// TestJoin: one change does what a rule's and then a backend's do.
func TestJoin(t *testing.T) {
	list := func(pairs ...string) (out []mesh.Header) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, mesh.Header{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	rule := &mesh.HeaderChange{
		Remove: []string{"a"},
		Set:    list("b", "rule", "c", "rule", "d", "rule"),
		Add:    list("e", "rule", "f", "rule", "g", "rule"),
	}
	backend := &mesh.HeaderChange{
		Remove: []string{"C", "f"},
		Set:    list("a", "backend", "B", "backend", "g", "backend"),
		Add:    list("d", "backend", "e", "backend"),
	}
	want := &mesh.HeaderChange{
		Remove: []string{"a", "C", "f"},
		Set:    list("d", "rule", "a", "backend", "B", "backend", "g", "backend"),
		Add:    list("e", "rule", "d", "backend", "e", "backend"),
	}
	if diff := cmp.Diff(want, join(rule, backend)); diff != "" {
		t.Error(diff)
	}
	if join(nil, backend) != backend || join(rule, nil) != rule {
		t.Error("a change alone is no longer itself")
	}
}

// TestSplit: a rule keeps its changes where no backend has some in the same direction.
func TestSplit(t *testing.T) {
	change := func(name string) *mesh.HeaderChange { return &mesh.HeaderChange{Remove: []string{name}} }
	r := &mesh.Rule{
		Filters:  mesh.Filters{RequestHeaders: change("request"), ResponseHeaders: change("response")},
		Backends: []mesh.Backend{{}, {Filters: mesh.Filters{RequestHeaders: change("backend")}}},
	}
	rule, backends := split(r)
	if rule.RequestHeaders != nil || rule.ResponseHeaders != r.Filters.ResponseHeaders {
		t.Errorf("at the rule: %+v", rule)
	}
	want := []mesh.Filters{{RequestHeaders: change("request")}, {RequestHeaders: &mesh.HeaderChange{Remove: []string{"request", "backend"}}}}
	if diff := cmp.Diff(want, backends); diff != "" {
		t.Error(diff)
	}
}
