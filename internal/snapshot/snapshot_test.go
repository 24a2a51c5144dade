package snapshot_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
	. "github.com/leno-mesh/leno/internal/snapshot"
)

// someObject makes an object of any kind, with few names so that objects come back and slices change their Service.
func someObject(r *rand.Rand) Object {
	meta := metav1.ObjectMeta{
		Namespace: fmt.Sprintf("ns%d", r.IntN(2)), Name: fmt.Sprintf("o%d", r.IntN(4)),
		Labels: map[string]string{discoveryv1.LabelServiceName: fmt.Sprintf("svc%d", r.IntN(3))}, Generation: int64(r.IntN(3)),
	}
	cluster := metav1.ObjectMeta{Name: meta.Name, Labels: meta.Labels, Generation: meta.Generation}
	all := []Object{
		&corev1.Service{ObjectMeta: meta}, &discoveryv1.EndpointSlice{ObjectMeta: meta}, &discoveryv1.EndpointSlice{ObjectMeta: meta},
		&corev1.Pod{ObjectMeta: meta}, &corev1.Namespace{ObjectMeta: cluster}, &corev1.ServiceAccount{ObjectMeta: meta},
		&corev1.Node{ObjectMeta: cluster}, &gatewayv1.HTTPRoute{ObjectMeta: meta}, &gatewayv1.ReferenceGrant{ObjectMeta: meta},
		&gatewayv1beta1.ReferenceGrant{ObjectMeta: meta}, &v1alpha1.Mesh{ObjectMeta: cluster}, &certificatesv1.ClusterTrustBundle{ObjectMeta: cluster},
		&v1alpha1.GatewayParameters{ObjectMeta: meta},
	}
	return all[r.IntN(len(all))]
}

func someEvents(r *rand.Rand, n int) []Event {
	out := make([]Event, n)
	for i := range out {
		out[i] = Upsert(someObject(r))
		if r.IntN(4) == 0 {
			out[i].Object = nil
		}
	}
	return out
}

// interleave gives the events in another order that keeps the order of those of one object.
func interleave(r *rand.Rand, events []Event) []Event {
	byRef := map[Ref][]Event{}
	var refs []Ref
	for _, e := range events {
		byRef[e.Ref] = append(byRef[e.Ref], e)
		refs = append(refs, e.Ref)
	}
	r.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	out := make([]Event, 0, len(events))
	for _, ref := range refs {
		out = append(out, byRef[ref][0])
		byRef[ref] = byRef[ref][1:]
	}
	return out
}

func TestAnyOrderAndAnyBatchesGiveAnEqualSnapshot(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		start := (&Snapshot{}).With(someEvents(r, 20))
		events := someEvents(r, 60)
		want := start.With(events)
		got := start
		for batch := range slices.Chunk(interleave(r, events), 1+r.IntN(20)) {
			got = got.With(batch)
		}
		if !got.Equal(want) {
			t.Fatalf("seed %d: another order gave another snapshot", seed)
		}
		for i := range 3 {
			for ns := range 2 {
				service := mesh.Name{Namespace: fmt.Sprintf("ns%d", ns), Name: fmt.Sprintf("svc%d", i)}
				if !slices.Equal(got.SlicesOf(service), slicesByScan(got, service)) {
					t.Fatalf("seed %d: the slices of %s are not those that name it", seed, service)
				}
			}
		}
	}
}

// slicesByScan is what the index should say.
func slicesByScan(s *Snapshot, service mesh.Name) []*discoveryv1.EndpointSlice {
	var out []*discoveryv1.EndpointSlice
	for _, name := range slices.SortedFunc(maps.Keys(s.EndpointSlices), func(a, b mesh.Name) int {
		return slices.Compare([]string{a.Name, a.Namespace}, []string{b.Name, b.Namespace})
	}) {
		if slice := s.EndpointSlices[name]; ServiceOf(slice) == service {
			out = append(out, slice)
		}
	}
	return out
}

func TestWithLeavesTheOldOneAlone(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		events := someEvents(r, 40)
		old, twin := (&Snapshot{}).With(events), (&Snapshot{}).With(events)
		old.With(someEvents(r, 40))
		if !old.Equal(twin) {
			t.Fatalf("seed %d: With changed the snapshot it was called on", seed)
		}
		service := mesh.Name{Namespace: "ns0", Name: "svc0"}
		if !slices.Equal(old.SlicesOf(service), slicesByScan(twin, service)) {
			t.Fatalf("seed %d: With changed the slices of %s", seed, service)
		}
	}
}

func TestWithSaysWhatIsNew(t *testing.T) {
	pod := func(version string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", UID: "u", ResourceVersion: version}}
	}
	route := func(version string, generation int64) *gatewayv1.HTTPRoute {
		return &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "r", ResourceVersion: version, Generation: generation}}
	}
	node := func(version, zone string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: "n", ResourceVersion: version, Labels: map[string]string{corev1.LabelTopologyZone: zone},
		}}
	}
	start := (&Snapshot{}).With([]Event{Upsert(pod("1")), Upsert(route("1", 1)), Upsert(node("1", "a"))})
	tests := []struct {
		name  string
		event Event
		kind  Kind // "" for nothing
	}{
		{"a pod told again", Upsert(pod("1")), ""},
		{"a pod that changed", Upsert(pod("2")), KindPod},
		{"a route whose status changed", Upsert(route("2", 1)), ""},
		{"a route whose spec changed", Upsert(route("2", 2)), KindHTTPRoute},
		{"a heartbeat of a node", Upsert(node("2", "a")), ""},
		{"a node that moved", Upsert(node("2", "b")), KindNode},
		{"the end of what is not there", Delete(KindService, mesh.Name{Namespace: "a", Name: "p"}), ""},
		{"the end of a pod", Delete(KindPod, mesh.Name{Namespace: "a", Name: "p"}), KindPod},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := start.With([]Event{tt.event})
			if tt.kind == "" {
				if next != start {
					t.Errorf("a new snapshot with changes %v", next.Changes())
				}
				return
			}
			if got := next.Changes().Kinds; len(got) != 1 || !got[tt.kind] {
				t.Errorf("changed kinds %v, want %s", got, tt.kind)
			}
			if gotPods := next.Changes().Pods; (tt.kind == KindPod) != gotPods[mesh.Name{Namespace: "a", Name: "p"}] {
				t.Errorf("changed pods %v", gotPods)
			}
		})
	}
}

func TestChangesNameBothServicesOfASliceThatMoves(t *testing.T) {
	slice := func(service string) Event {
		return Upsert(&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace: "a", Name: "s", Labels: map[string]string{discoveryv1.LabelServiceName: service},
		}})
	}
	s := (&Snapshot{}).With([]Event{slice("one")}).With([]Event{slice("two")})
	want := map[mesh.Name]bool{{Namespace: "a", Name: "one"}: true, {Namespace: "a", Name: "two"}: true}
	if got := s.Changes().Services; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
