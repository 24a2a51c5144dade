package lb

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

func endpoints(last ...int) []config.Endpoint {
	var out []config.Endpoint
	for _, n := range last {
		out = append(out, config.Endpoint{Address: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", n))})
	}
	return out
}

func seeded() Random { return rand.New(rand.NewPCG(1, 2)).Uint64 }

var t0 = time.Unix(1000, 0)

func TestNothingToPick(t *testing.T) {
	if e := New(nil, nil, seeded()).Pick(t0, nil); e != nil {
		t.Errorf("picked %v of none", e)
	}
}

func TestLessBusyOfTwo(t *testing.T) {
	b := New(nil, endpoints(1, 2), seeded())
	var busy *Endpoint
	for range 5 {
		busy = b.Pick(t0, nil)
	}
	// Nobody is ever more than one ahead when requests do not end: with two endpoints both are always compared.
	one, two := b.Endpoints()[0].Active(), b.Endpoints()[1].Active()
	if one+two != 5 || one-two > 1 || two-one > 1 {
		t.Errorf("in flight: %d and %d", one, two)
	}
	busy.Done()
	if b.Endpoints()[0].Active()+b.Endpoints()[1].Active() != 4 {
		t.Error("Done was not counted")
	}
}

func TestIdleEndpointsGetEqualShares(t *testing.T) {
	b := New(nil, endpoints(1, 2, 3, 4), seeded())
	counts := map[string]int{}
	for range 40_000 {
		e := b.Pick(t0, nil)
		counts[e.Text]++
		e.Done()
	}
	for text, n := range counts {
		if n < 9500 || n > 10500 {
			t.Errorf("%s got %d of 40000", text, n)
		}
	}
}

func TestSlowEndpointGetsFewer(t *testing.T) {
	b := New(nil, endpoints(1, 2, 3), seeded())
	slow := b.Endpoints()[0]
	slow.active.Store(100)
	for range 1000 {
		if e := b.Pick(t0, nil); e == slow {
			t.Fatal("the busiest was picked although every comparison has a better one")
		} else {
			e.Done()
		}
	}
}

func TestFailedEndpointIsAvoidedForAWhile(t *testing.T) {
	b := New(nil, endpoints(1, 2, 3), seeded())
	bad := b.Endpoints()[1]
	bad.Failed(t0)
	picked := func(now time.Time) bool {
		for range 200 {
			e := b.Pick(now, nil)
			e.Done()
			if e == bad {
				return true
			}
		}
		return false
	}
	if picked(t0) || picked(t0.Add(Avoid-1)) {
		t.Error("a failed endpoint was picked")
	}
	if !picked(t0.Add(Avoid)) {
		t.Error("a failed endpoint never comes back")
	}
	bad.Failed(t0)
	bad.Worked()
	if !picked(t0) {
		t.Error("an endpoint that works again is avoided")
	}
	for _, e := range b.Endpoints() {
		e.Failed(t0)
	}
	if b.Pick(t0, nil) == nil {
		t.Error("when all failed, one of them must be tried")
	}
}

func TestRetryGoesElsewhere(t *testing.T) {
	b := New(nil, endpoints(1, 2, 3), seeded())
	first := b.Endpoints()[0]
	for _, other := range b.Endpoints()[1:] {
		other.Failed(t0)
	}
	for range 100 {
		if e := b.Pick(t0, first); e == first {
			t.Fatal("the endpoint that just failed was picked again while others are left")
		}
	}
	only := New(nil, endpoints(1), seeded())
	if only.Pick(t0, only.Endpoints()[0]) == nil {
		t.Error("the only endpoint is better than none")
	}
}

func TestLoadSurvivesUpdates(t *testing.T) {
	old := New(nil, endpoints(1, 2), seeded())
	old.Endpoints()[1].active.Store(7)
	old.Endpoints()[1].Failed(t0)
	update := endpoints(3, 2)
	update[1].Identity = "spiffe://d/ns/n/sa/s"
	next := New(old, update, seeded())
	kept := next.Endpoints()[1]
	if kept.Active() != 7 || kept.usable(t0.UnixNano(), nil) || kept.Identity == "" || next.Endpoints()[0].Active() != 0 {
		t.Errorf("after the update: %+v", kept)
	}
	old.Endpoints()[1].Done() // a request that began before the update
	if kept.Active() != 6 {
		t.Error("a request that ends under the old balancer is not counted in the new one")
	}
}

func TestOther(t *testing.T) {
	one := New(nil, endpoints(1), seeded())
	e := one.Endpoints()[0]
	if one.Other(e) || New(one, endpoints(1), seeded()).Other(e) {
		t.Error("the same address is not another endpoint")
	}
	if !New(one, endpoints(2), seeded()).Other(e) || !New(one, endpoints(1, 2), seeded()).Other(e) {
		t.Error("another endpoint is not seen")
	}
}

func BenchmarkPick(b *testing.B) {
	lb := New(nil, endpoints(1, 2, 3, 4, 5), rand.Uint64)
	b.ReportAllocs()
	for b.Loop() {
		lb.Pick(t0, nil).Done()
	}
}
