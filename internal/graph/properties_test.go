package graph_test

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/test/fixture"
)

// stock is the objects of all cases, to make clusters from.
func stock(t testing.TB) [][]snapshot.Event {
	var out [][]snapshot.Event
	for _, name := range cases(t) {
		events, _ := fixture.Case(t, casesRoot, name)
		out = append(out, events)
	}
	return out
}

// same compares meshes; addresses have fields that cmp does not see.
var same = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})}

// Whatever happens to a cluster, the short way ends where a full build ends; and nothing that can be written into an object
// makes either of them fail.
func TestShortWayIsAFullBuild(t *testing.T) {
	clusters := stock(t)
	short := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		events := clusters[r.IntN(len(clusters))]
		s := (&snapshot.Snapshot{}).With(events)
		m := graph.Build(s, graph.Options{}).Mesh
		for range 30 {
			next := s.With(someNews(r, events))
			if next == s {
				continue
			}
			s = next
			full := graph.Build(s, graph.Options{}).Mesh
			if quick := graph.Endpoints(s, m, graph.Options{}); quick != nil {
				short++
				if diff := cmp.Diff(full, quick, same); diff != "" {
					t.Fatalf("seed %d: (-full +short):\n%s", seed, diff)
				}
				full = quick
			}
			m = full
		}
	}
	if short < 500 {
		t.Errorf("the short way was taken %d times only: the test does not see it", short)
	}
}

// someNews changes some objects of a cluster, most often its slices and pods.
func someNews(r *rand.Rand, events []snapshot.Event) []snapshot.Event {
	endpoints := slices.DeleteFunc(slices.Clone(events), func(e snapshot.Event) bool {
		return e.Ref.Kind != snapshot.KindEndpointSlice && e.Ref.Kind != snapshot.KindPod
	})
	if r.IntN(4) == 0 || len(endpoints) == 0 {
		endpoints = events
	}
	var out []snapshot.Event
	for range 1 + r.IntN(2) {
		e := endpoints[r.IntN(len(endpoints))]
		switch r.IntN(6) {
		case 0:
			e.Object = nil
		case 1: // as it was at first
		default:
			e = snapshot.Upsert(mutate(r, e.Object))
		}
		out = append(out, e)
	}
	return out
}

// A route that is wrong changes nothing for others: neither their status nor what they do to requests, not even where it is
// attached to the same Service.
func TestOneBadRouteChangesNothingForOthers(t *testing.T) {
	clusters := stock(t)
	for seed := range uint64(800) {
		r := rand.New(rand.NewPCG(seed, 4))
		events := clusters[r.IntN(len(clusters))]
		from := clusters[r.IntN(len(clusters))]
		i := slices.IndexFunc(from, func(e snapshot.Event) bool { return e.Ref.Kind == snapshot.KindHTTPRoute })
		if i < 0 {
			continue
		}
		bad := mutate(r, from[i].Object)
		bad.SetName("bad")
		ref := mesh.Name{Namespace: bad.GetNamespace(), Name: bad.GetName()}

		before := build(events)
		after := build(append(slices.Clone(events), snapshot.Upsert(bad)))
		// Gateways count routes, and routes of other kinds may have to give way to an older one.
		others := func(w status.Want) bool { return w.Kind != "HTTPRoute" || w.Name == ref }
		wants := slices.DeleteFunc(after.Status, others)
		if diff := cmp.Diff(slices.DeleteFunc(before.Status, others), wants, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d: status of others (-before +after):\n%s", seed, diff)
		}
		if diff := cmp.Diff(tablesWithout(before.Mesh, ref), tablesWithout(after.Mesh, ref), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d: routes of others (-before +after):\n%s", seed, diff)
		}
		if !reflect.DeepEqual(before.Mesh.Endpoints, after.Mesh.Endpoints) || !reflect.DeepEqual(before.Mesh.Frontends, after.Mesh.Frontends) {
			t.Fatalf("seed %d: a route changed endpoints or frontends", seed)
		}
	}
}

// tablesWithout is all entries of all tables but those of one route; tables that are empty then are left out.
func tablesWithout(m *mesh.Mesh, route mesh.Name) map[string][]mesh.Entry {
	out := map[string][]mesh.Entry{}
	add := func(key string, table *mesh.RouteTable) {
		if table == nil {
			return
		}
		left := slices.DeleteFunc(slices.Clone(table.Entries), func(e mesh.Entry) bool {
			return e.Rule.Origin.Namespace == route.Namespace && e.Rule.Origin.Name == route.Name
		})
		if len(left) > 0 {
			out[key] = left
		}
	}
	for name, svc := range m.Services {
		for _, port := range svc.Ports {
			add(name.String()+port.Name, port.Routes)
			for client, table := range port.Consumer {
				add(name.String()+port.Name+"@"+client, table)
			}
		}
	}
	return out
}

// Every route that is not fully in effect says so.
func TestNoFailureIsSilent(t *testing.T) {
	clusters := stock(t)
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 5))
		events := slices.Clone(clusters[r.IntN(len(clusters))])
		for i, e := range events {
			if e.Ref.Kind == snapshot.KindHTTPRoute {
				events[i] = snapshot.Upsert(mutate(r, e.Object))
			}
		}
		result := build(events)
		complaints := map[mesh.Name]bool{}
		for _, want := range result.Status {
			for _, parent := range want.Parents {
				for _, c := range parent.Conditions {
					if c.Message == "" || c.Reason == "" {
						t.Fatalf("seed %d: %s has a condition without words: %+v", seed, want.Name, c)
					}
					complaints[want.Name] = complaints[want.Name] || c.Status == (c.Type == status.TypePartiallyInvalid)
				}
			}
		}
		for _, entries := range tablesWithout(result.Mesh, mesh.Name{}) {
			for _, e := range entries {
				name := mesh.Name{Namespace: e.Rule.Origin.Namespace, Name: e.Rule.Origin.Name}
				fails := e.Rule.Fail != nil || slices.ContainsFunc(e.Rule.Backends, func(b mesh.Backend) bool { return b.Fail != nil })
				if fails && !complaints[name] {
					t.Fatalf("seed %d: rule %q of %s fails and its status does not say so", seed, e.Rule.Origin.Rule, name)
				}
			}
		}
	}
}

// The objects are those of the caches, which others read at the same time.
func TestBuildChangesNoObject(t *testing.T) {
	for _, name := range cases(t) {
		events, _ := fixture.Case(t, casesRoot, name)
		before, _ := fixture.Case(t, casesRoot, name)
		build(events)
		for i := range events {
			if !reflect.DeepEqual(before[i], events[i]) {
				t.Errorf("%s: %s %s is not what it was", name, events[i].Ref.Kind, events[i].Ref.Name)
			}
		}
	}
}

func FuzzBuild(f *testing.F) {
	for _, name := range cases(f) {
		text, err := os.ReadFile(filepath.Join(casesRoot, name, "in.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		events, err := fixture.Parse(text)
		if err != nil {
			return // no objects
		}
		build(events)
	})
}
