package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/pipeline"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/test/fixture"
	"github.com/leno-mesh/leno/test/golden"
)

// run is a pipeline in a bubble, and what it did so far.
type run struct {
	*pipeline.Pipeline
	meshes  []*mesh.Mesh
	wants   [][]status.Want
	batches []pipeline.Batch
	// hold makes Publish wait, while it is not nil.
	hold chan struct{}
}

func start(t *testing.T) *run {
	r := &run{}
	r.Pipeline = pipeline.New(pipeline.Options{
		Publish: func(m *mesh.Mesh) {
			r.meshes = append(r.meshes, m)
			if r.hold != nil {
				<-r.hold
			}
		},
		Status:  func(w []status.Want) { r.wants = append(r.wants, w) },
		Observe: func(b pipeline.Batch) { r.batches = append(r.batches, b) },
	})
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return r
}

func (r *run) send(t *testing.T, events ...snapshot.Event) {
	t.Helper()
	if err := r.Send(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func service(name, address string) snapshot.Event {
	return snapshot.Upsert(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: address, Ports: []corev1.ServicePort{{Port: 80}}},
	})
}

func slice(service string, addresses ...string) snapshot.Event {
	port := int32(8080)
	out := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: &port}},
	}
	for _, a := range addresses {
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return snapshot.Upsert(out)
}

func TestNothingIsPublishedBeforeTheFirstListIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.send(t, service("a", "10.0.0.1"))
		r.send(t, service("b", "10.0.0.2"))
		synctest.Wait()
		if len(r.meshes) != 0 {
			t.Fatal("published half a cluster")
		}
		r.Synced()
		synctest.Wait()
		if len(r.meshes) != 1 || len(r.meshes[0].Services) != 2 || len(r.wants) != 1 {
			t.Fatalf("%d meshes, %d wants after the list is complete; want one of each", len(r.meshes), len(r.wants))
		}
	})
}

func TestAnEmptyClusterIsPublishedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.Synced()
		synctest.Wait()
		if len(r.meshes) != 1 || r.meshes[0].Settings.TrustDomain == "" {
			t.Fatalf("got %d meshes", len(r.meshes))
		}
	})
}

func TestNewsThatComeWhileItIsBusyAreTakenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.hold = make(chan struct{})
		r.Synced()
		synctest.Wait() // in Publish
		for i := range 100 {
			r.send(t, service("a", fmt.Sprintf("10.0.0.%d", i)), service(fmt.Sprint("s", i), "10.0.1.1"))
		}
		r.send(t, snapshot.Delete(snapshot.KindService, mesh.Name{Namespace: "shop", Name: "s0"}))
		r.hold <- struct{}{}
		synctest.Wait() // in Publish again
		close(r.hold)
		synctest.Wait()
		if len(r.meshes) != 2 || len(r.batches) != 2 || r.batches[1].Events != 101 {
			t.Fatalf("%d meshes, batches %+v; want one more for 101 objects", len(r.meshes), r.batches)
		}
		a := r.meshes[1].Services[mesh.Name{Namespace: "shop", Name: "a"}]
		if len(r.meshes[1].Services) != 100 || a.Addresses[0].String() != "10.0.0.99" {
			t.Errorf("%d services, a at %v; want 100 and the latest news", len(r.meshes[1].Services), a.Addresses)
		}
	})
}

func TestEndpointsTakeTheShortWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.send(t, service("a", "10.0.0.1"), slice("a", "10.1.0.1"), service("b", "10.0.0.2"), slice("b", "10.1.0.2"))
		r.Synced()
		synctest.Wait()
		r.send(t, slice("a", "10.1.0.1", "10.1.0.3"))
		synctest.Wait()
		if len(r.meshes) != 2 || len(r.wants) != 1 || r.batches[1].Full {
			t.Fatalf("%d meshes, %d wants, batches %+v; want a second mesh by the short way", len(r.meshes), len(r.wants), r.batches)
		}
		key := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: "a"}, Port: 80}
		if len(r.meshes[0].Endpoints[key]) != 1 || len(r.meshes[1].Endpoints[key]) != 2 {
			t.Errorf("endpoints before %v, after %v", r.meshes[0].Endpoints[key], r.meshes[1].Endpoints[key])
		}
	})
}

func TestNewsThatChangeNothingAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.send(t, service("a", "10.0.0.1"), slice("a", "10.1.0.1"))
		r.Synced()
		synctest.Wait()
		r.send(t, slice("a", "10.1.0.1"))
		r.send(t, snapshot.Delete(snapshot.KindPod, mesh.Name{Namespace: "shop", Name: "gone"}))
		r.send(t, snapshot.Upsert(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pending"}}))
		synctest.Wait()
		if len(r.meshes) != 1 {
			t.Errorf("published %d meshes", len(r.meshes))
		}
	})
}

func TestSendGivesUpWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err := pipeline.New(pipeline.Options{}).Send(ctx, service("a", "10.0.0.1"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A whole case through the pipeline, object by object, ends where one build of all ends.
func TestObjectByObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, _ := fixture.Case(t, "../../test/cases", "MeshHTTPRouteWeight")
		whole, single := start(t), start(t)
		whole.send(t, events...)
		whole.Synced()
		single.Synced()
		for _, e := range events {
			synctest.Wait()
			single.send(t, e)
		}
		synctest.Wait()
		got, want := single.meshes[len(single.meshes)-1], whole.meshes[0]
		if diff := diffMeshes(want, got); diff != "" {
			t.Errorf("object by object (-all at once +one by one):\n%s", diff)
		}
	})
}

func diffMeshes(a, b *mesh.Mesh) string {
	return cmp.Diff(string(golden.Mesh(a)), string(golden.Mesh(b)))
}
