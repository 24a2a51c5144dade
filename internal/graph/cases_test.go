package graph_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/test/fixture"
	"github.com/leno-mesh/leno/test/golden"
)

const casesRoot = "../../test/cases"

// Each folder of test/cases is a cluster (in.yaml), the mesh that it means (mesh.yaml) and the status that its routes should
// show (status.yaml).
func TestCases(t *testing.T) {
	want := golden.Dir{Root: casesRoot, Suffixes: []string{"/mesh.yaml", "/status.yaml"}}
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			events, baseName := fixture.Case(t, casesRoot, name)
			base := graph.Result{Mesh: &mesh.Mesh{}}
			if baseName != "" {
				baseEvents, _ := fixture.Case(t, casesRoot, baseName)
				base = build(baseEvents)
			}
			result := build(events)
			gotMesh, gotStatus := golden.Mesh(without(result.Mesh, base.Mesh)), golden.Status(news(result.Status, base.Status))
			want.Check(t, name+"/mesh.yaml", gotMesh)
			want.Check(t, name+"/status.yaml", gotStatus)

			order := rand.New(rand.NewPCG(1, 2))
			for range 5 {
				order.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				again := build(events)
				if !bytes.Equal(golden.Mesh(without(again.Mesh, base.Mesh)), gotMesh) ||
					!bytes.Equal(golden.Status(news(again.Status, base.Status)), gotStatus) {
					t.Fatal("the result depends on the order of the events")
				}
			}
		})
	}
	want.Orphans(t)
}

func build(events []snapshot.Event) graph.Result {
	return graph.Build((&snapshot.Snapshot{}).With(events), graph.Options{})
}

func cases(t testing.TB) []string {
	files := golden.Files(t, filepath.Join(casesRoot, "*", "in.yaml"))
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = filepath.Base(filepath.Dir(file))
	}
	return names
}

// without leaves out of a mesh what the case that it stands on has just so: what is left is what the case is about.
func without(m, base *mesh.Mesh) *mesh.Mesh {
	out := *m
	if out.Settings == base.Settings {
		out.Settings = mesh.Settings{}
	}
	out.Services = subtract(m.Services, base.Services)
	out.Gateways = subtract(m.Gateways, base.Gateways)
	out.Workloads = subtract(m.Workloads, base.Workloads)
	out.Frontends = subtract(m.Frontends, base.Frontends)
	out.WorkloadByIP = subtract(m.WorkloadByIP, base.WorkloadByIP)
	out.Endpoints = subtract(m.Endpoints, base.Endpoints)
	return &out
}

// news is the status that the base does not have.
func news(wants, base []status.Want) []status.Want {
	return slices.DeleteFunc(slices.Clone(wants), func(w status.Want) bool {
		return slices.ContainsFunc(base, func(b status.Want) bool { return reflect.DeepEqual(b, w) })
	})
}

func subtract[K comparable, V any](from, what map[K]V) map[K]V {
	out := maps.Clone(from)
	maps.DeleteFunc(out, func(k K, v V) bool { return reflect.DeepEqual(v, what[k]) })
	return out
}
