package gateways

import (
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/mesh"
)

// TestDrift: which news about an object lead to a look at the Gateway that it was made for.
func TestDrift(t *testing.T) {
	object := func(change func(*metav1.PartialObjectMetadata)) *metav1.PartialObjectMetadata {
		o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "front-leno", Generation: 1, ResourceVersion: "1",
			Labels: map[string]string{mesh.LabelManagedBy: mesh.ManagedBy, mesh.LabelGatewayName: "front"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "front", UID: "1", Controller: new(true),
			}},
		}}
		change(o)
		return o
	}
	same := func(*metav1.PartialObjectMetadata) {}
	status := func(o *metav1.PartialObjectMetadata) { o.ResourceVersion = "2" }
	for what, tc := range map[string]struct {
		before, now *metav1.PartialObjectMetadata
		looks       bool
	}{
		"nothing new":           {object(same), object(same), false},
		"its status":            {object(same), object(status), false},
		"its spec":              {object(same), object(func(o *metav1.PartialObjectMetadata) { status(o); o.Generation = 2 }), true},
		"its labels":            {object(same), object(func(o *metav1.PartialObjectMetadata) { status(o); o.Labels = nil }), true},
		"its annotations":       {object(same), object(func(o *metav1.PartialObjectMetadata) { status(o); o.Annotations = map[string]string{"a": "b"} }), true},
		"its owner":             {object(same), object(func(o *metav1.PartialObjectMetadata) { status(o); o.OwnerReferences = nil }), true},
		"it is going":           {object(same), object(func(o *metav1.PartialObjectMetadata) { status(o); o.DeletionTimestamp = &metav1.Time{} }), true},
		"a kind without number": {object(func(o *metav1.PartialObjectMetadata) { o.Generation = 0 }), object(func(o *metav1.PartialObjectMetadata) { status(o); o.Generation = 0 }), true},
		"somebody else's": {object(func(o *metav1.PartialObjectMetadata) { o.Labels = nil }),
			object(func(o *metav1.PartialObjectMetadata) { status(o); o.Labels, o.Generation = nil, 2 }), false},
	} {
		k := New(Config{})
		handler(k.drift).OnUpdate(tc.before, tc.now)
		if looks := k.queue.Len() == 1; looks != tc.looks {
			t.Errorf("%s: %d in the queue, want a look: %v", what, k.queue.Len(), tc.looks)
		}
		k.queue.ShutDown()
	}
	for what, tell := range map[string]func(k *Keeper, o client.Object){
		"new":     func(k *Keeper, o client.Object) { handler(k.drift).OnAdd(o, false) },
		"deleted": func(k *Keeper, o client.Object) { handler(k.drift).OnDelete(o) },
	} {
		k := New(Config{})
		tell(k, object(same))
		if k.queue.Len() != 1 {
			t.Errorf("%s: %d in the queue", what, k.queue.Len())
		}
		k.queue.ShutDown()
	}
}

// TestSet: Gateways are looked at when what they need changes, and when they are not wanted any more.
func TestSet(t *testing.T) {
	k := New(Config{})
	defer k.queue.ShutDown()
	drain := func() (n int) {
		for k.queue.Len() > 0 {
			name, _ := k.queue.Get()
			k.queue.Done(name)
			n++
		}
		return n
	}
	a, b := mesh.Name{Namespace: "shop", Name: "a"}, mesh.Name{Namespace: "shop", Name: "b"}
	gateway := func(name mesh.Name, port uint16, hosts ...mesh.Host) *mesh.Gateway {
		return &mesh.Gateway{Name: name, Ports: []mesh.GatewayPort{{Number: port, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerHTTP, Hosts: hosts}}}}}
	}
	for _, step := range []struct {
		what  string
		wants map[mesh.Name]*mesh.Gateway
		looks int
	}{
		{"two are new", map[mesh.Name]*mesh.Gateway{a: gateway(a, 80), b: gateway(b, 80)}, 2},
		{"a route changed", map[mesh.Name]*mesh.Gateway{a: gateway(a, 80, mesh.Host{Name: "a.example"}), b: gateway(b, 80)}, 0},
		{"a port changed", map[mesh.Name]*mesh.Gateway{a: gateway(a, 81), b: gateway(b, 80)}, 1},
		{"one is gone", map[mesh.Name]*mesh.Gateway{b: gateway(b, 80)}, 1},
		{"all are gone", nil, 1},
	} {
		k.Set(step.wants)
		if n := drain(); n != step.looks {
			t.Errorf("%s: %d looks, want %d", step.what, n, step.looks)
		}
	}
}

func TestTargetOnly(t *testing.T) {
	out, err := targetOnly(&autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "front", Annotations: map[string]string{"much": "text"}},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Name: "front-leno"}, MaxReplicas: 3},
		Status:     autoscalingv2.HorizontalPodAutoscalerStatus{CurrentReplicas: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := out.(*autoscalingv2.HorizontalPodAutoscaler)
	if h.Name != "front" || h.Spec.ScaleTargetRef.Name != "front-leno" || h.Annotations != nil || h.Spec.MaxReplicas != 0 || h.Status.CurrentReplicas != 0 {
		t.Errorf("%+v", h)
	}
}
