package gateways

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// ask brings the Gateway to where it asks for a ClusterIP. The error is one after which a worker tries again soon.
func (w *world) ask(ip string) error {
	next := wants(80)
	next[public].Infrastructure.ClusterAddresses = []netip.Addr{netip.MustParseAddr(ip)}
	w.Set(next)
	_, err := w.Keeper.bring(w.t.Context(), public)
	return err
}

// newPlaced is a world in which the Gateway has the ClusterIP 10.96.0.7, and Service other has 10.96.0.9.
func newPlaced(t *testing.T, finalizers ...string) *world {
	t.Helper()
	w := newWorld(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.9", ClusterIPs: []string{"10.96.0.9"}},
	})
	var s corev1.Service
	if err := w.ask("10.96.0.7"); err != nil || !w.get(&s) || s.Spec.ClusterIP != "10.96.0.7" {
		t.Fatalf("%v, %+v", err, s.Spec)
	}
	s.UID, s.Finalizers = "first", finalizers // this API gives nothing a UID
	if err := w.api.Update(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	return w
}

// A Service that is to have another ClusterIP is made again.
func TestClusterIPsMove(t *testing.T) {
	w := newPlaced(t)
	var s corev1.Service
	if err := w.ask("10.96.0.8"); err != nil || !w.get(&s) || s.Spec.ClusterIP != "10.96.0.8" || s.UID == "first" {
		t.Errorf("%v, %s: %+v", err, s.UID, s.Spec)
	}
	if len(w.events.Events) > 0 {
		t.Errorf("event %q", <-w.events.Events)
	}
}

// A Service stays as it is where somebody else has the ClusterIP that is asked for, and the Gateway's owner is told.
func TestClusterIPsTaken(t *testing.T) {
	w := newPlaced(t)
	w.refuses("10.96.0.9", "they belong to Service shop/other")
}

// The same goes for a ClusterIP that the API server does not give. It names the Service that was tried, by another name each time.
func TestClusterIPsOutside(t *testing.T) {
	w := newPlaced(t)
	tries := 0
	w.Client = interceptor.NewClient(w.api, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			tries++
			return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, fmt.Sprintf("leno-address-%d", tries),
				field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), "192.0.2.1", "not in the range")})
		},
	})
	w.refuses("192.0.2.1", "not in the range")
	if tries != 2 {
		t.Errorf("%d tries", tries)
	}
}

// refuses: the Gateway does not get a ClusterIP, keeps the Service that it has, and its owner is told why, once.
func (w *world) refuses(ip, why string) {
	w.t.Helper()
	for range 2 {
		if err := w.ask(ip); err != nil {
			w.t.Fatal(err)
		}
	}
	event := <-w.events.Events
	for _, words := range []string{"AddressNotAssigned", "Service shop/public-leno cannot have ClusterIPs [" + ip + "]", why} {
		if !strings.Contains(event, words) {
			w.t.Errorf("event %q without %q", event, words)
		}
	}
	if len(w.events.Events) > 0 {
		w.t.Errorf("told again: %q", <-w.events.Events)
	}
	var s corev1.Service
	if !w.get(&s) || s.UID != "first" {
		w.t.Error("the Service was made again for an address that it cannot have")
	}
}

// A load balancer may keep a Service for a while after it was deleted. Nobody takes the old one for the one that is to come.
func TestClusterIPsMoveLater(t *testing.T) {
	w := newPlaced(t, "cloud.example/cleanup")
	var s corev1.Service
	for range 2 {
		if err := w.ask("10.96.0.8"); err == nil || !strings.Contains(err.Error(), "waiting until its finalizers [cloud.example/cleanup] let it go") {
			t.Fatalf("bring: %v", err)
		}
		if !w.get(&s) || s.DeletionTimestamp == nil || s.Spec.ClusterIP != "10.96.0.7" {
			t.Fatalf("%+v", s)
		}
	}
	s.Finalizers = nil
	if err := w.api.Update(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	s = corev1.Service{}
	if err := w.ask("10.96.0.8"); err != nil || !w.get(&s) || s.Spec.ClusterIP != "10.96.0.8" {
		t.Errorf("%v, %+v", err, s.Spec)
	}
}
