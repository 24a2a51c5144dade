package inproc_test

import (
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/test/inproc"
)

// TestChangeUnderLoad: a route changes again and again while requests flow, and none fails.
func TestChangeUnderLoad(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(50, 50))
	load := m.Client("client").Load("catalog:80/")
	for round := range 20 {
		m.Apply(inproc.Shop, inproc.Split(100-round, round))
		load.More(m, 10)
	}
	m.Apply(inproc.Shop) // without route
	load.More(m, 10)
	load.Lossless(t)
}

// TestControlPlaneAway: requests flow while there is no control plane; another one takes over.
func TestControlPlaneAway(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(100, 0))
	client := m.Client("client")
	if got := client.Shares(10, "catalog:80/"); got["catalog-v1"] != 10 {
		t.Fatalf("%v", got)
	}
	load := client.Load("catalog:80/")
	m.StopPlane()
	load.More(m, 200)
	m.StartPlane(m.Plane)
	m.Apply(inproc.Shop, inproc.Split(0, 100))
	m.Eventually("the new control plane is heard", func() bool { return client.Shares(1, "catalog:80/")["catalog-v2"] == 1 })
	load.Lossless(t)
}

// TestUnrelatedServices: what a sidecar receives does not depend on Services that its application does not call.
func TestUnrelatedServices(t *testing.T) {
	m := inproc.Start(t, inproc.Options{}, inproc.Shop, inproc.Split(100, 0))
	client := m.Client("client")
	client.Shares(1, "catalog:80/")
	xds := m.Pod("client").Sidecar.XDS()
	received := func() (total uint64) {
		for _, n := range xds.Stats().Bytes {
			total += n
		}
		return total
	}
	// toggle is a change that the client hears of; what it costs, in bytes, is the measure.
	toggle := func(more string) uint64 {
		before := received()
		for _, v2 := range []int{100, 0} {
			m.Apply(inproc.Shop, inproc.Split(100-v2, v2), more)
			m.Eventually("the change arrives", func() bool { return client.Shares(1, "catalog:80/")["catalog-v2"] == v2/100 })
		}
		return received() - before
	}
	alone := toggle("")
	before := received()
	services := inproc.Unrelated(1000)
	m.Apply(inproc.Shop, inproc.Split(100, 0), services)
	m.Eventually("the services are published", func() bool {
		return m.Mesh().Services[mesh.Name{Namespace: "unrelated", Name: "service-999"}] != nil
	})
	crowded := toggle(services)
	// The counters in nonces grow by a digit now and then.
	if all := received() - before; all != crowded || crowded > alone+8 {
		t.Errorf("a change costs %d bytes alone and %d among 1,000 Services; adding them cost %d", alone, crowded, all-crowded)
	}
}
