package gateways

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

var public = mesh.Name{Namespace: "shop", Name: "public"}

// world is a Keeper in front of an API of its own.
type world struct {
	*Keeper
	t      *testing.T
	api    client.Client
	events *events.FakeRecorder
}

func newWorld(t *testing.T, there ...client.Object) *world {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	api := fake.NewClientBuilder().WithScheme(s).WithObjects(there...).Build()
	recorder := events.NewFakeRecorder(10)
	return &world{New(api, api, recorder), t, api, recorder}
}

// wants is the wish for one Gateway with the ports.
func wants(ports ...uint16) map[mesh.Name]*mesh.Gateway {
	g := &mesh.Gateway{Name: public, ServiceAccount: "public-leno", Infrastructure: mesh.Infrastructure{UID: "42", Class: "leno"}}
	for _, p := range ports {
		g.Ports = append(g.Ports, mesh.GatewayPort{Number: p})
	}
	return map[mesh.Name]*mesh.Gateway{public: g}
}

// get reads what is named public-leno; false: it is not there.
func (w *world) get(into client.Object) bool {
	w.t.Helper()
	err := w.api.Get(w.t.Context(), client.ObjectKey{Namespace: "shop", Name: "public-leno"}, into)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return err == nil
}

func all() []client.Object {
	return []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &corev1.ServiceAccount{}, &policyv1.PodDisruptionBudget{}}
}

func TestMadeAndRemoved(t *testing.T) {
	w := newWorld(t)
	w.Set(wants(80, 443))
	w.work()
	for _, object := range all() {
		if !w.get(object) {
			t.Fatalf("%T was not made", object)
		}
		if !belongs(object, public) {
			t.Errorf("%T does not belong to the Gateway", object)
		}
	}
	w.Set(map[mesh.Name]*mesh.Gateway{})
	w.work()
	for _, object := range all() {
		if w.get(object) {
			t.Errorf("%T was not removed", object)
		}
	}
}

// What somebody changed is put right; what belongs to others, like the number of replicas, stays.
func TestKept(t *testing.T) {
	w := newWorld(t)
	w.Set(wants(80))
	w.work()
	var d appsv1.Deployment
	w.get(&d)
	d.Spec.Replicas = new(int32(3))
	d.Spec.Template.Spec.Containers[0].Image = "evil"
	if err := w.api.Update(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	w.Touch(public)
	w.work()
	w.get(&d)
	if image := d.Spec.Template.Spec.Containers[0].Image; image == "evil" || *d.Spec.Replicas != 3 {
		t.Errorf("image %s, %d replicas", image, *d.Spec.Replicas)
	}
}

// Routes come and go without any work.
func TestOnlyNeedsCount(t *testing.T) {
	w := newWorld(t)
	w.Set(wants(80))
	w.work()
	next := wants(80)
	next[public].Ports[0].Listeners = []*mesh.Listener{{}}
	w.Set(next)
	if n := w.queue.Len(); n > 0 {
		t.Errorf("%d Gateways to look at, though only routes changed", n)
	}
	w.Set(wants(80, 443))
	if n := w.queue.Len(); n != 1 {
		t.Errorf("%d Gateways to look at after a new port, want 1", n)
	}
}

// An object of somebody else is left alone, and the Gateway's owner is told.
func TestForeignObject(t *testing.T) {
	foreign := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "public-leno"}}
	w := newWorld(t, foreign)
	w.Set(wants(80))
	if err := w.bring(t.Context(), public); err == nil || !strings.Contains(err.Error(), "does not belong to the Gateway: delete or rename it") {
		t.Errorf("bring: %v", err)
	}
	if event := <-w.events.Events; !strings.Contains(event, "Service public-leno") {
		t.Errorf("event %q", event)
	}
	if !w.get(&appsv1.Deployment{}) {
		t.Error("the rest was not made")
	}
	w.Set(nil)
	if err := w.bring(t.Context(), public); err != nil {
		t.Fatal(err)
	}
	if !w.get(&corev1.Service{}) {
		t.Error("somebody else's Service was removed")
	}
}

// work does all that is queued.
func (w *world) work() {
	w.t.Helper()
	for w.queue.Len() > 0 {
		if !w.next(context.Background()) {
			w.t.Fatal("the queue is down")
		}
	}
}

// A Service that is to have another ClusterIP is made again; it stays as it is where somebody else has that one.
func TestClusterIPsMove(t *testing.T) {
	service := func(name, ip string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}},
		}
	}
	w := newWorld(t, service("other", "10.96.0.9"))
	ask := func(ip string) error {
		next := wants(80)
		next[public].Infrastructure.ClusterAddresses = []netip.Addr{netip.MustParseAddr(ip)}
		w.Set(next)
		return w.bring(t.Context(), public)
	}
	var first, next corev1.Service
	if err := ask("10.96.0.7"); err != nil || !w.get(&first) || first.Spec.ClusterIP != "10.96.0.7" {
		t.Fatalf("%v, %+v", err, first.Spec)
	}
	first.UID = "first"
	if err := w.api.Update(t.Context(), &first); err != nil {
		t.Fatal(err)
	}
	if err := ask("10.96.0.9"); err == nil || !strings.Contains(err.Error(), "Service shop/other has them") {
		t.Errorf("bring: %v", err)
	}
	if w.get(&next); next.UID != "first" {
		t.Error("the Service was made again for an address that it cannot have")
	}
	if err := ask("10.96.0.8"); err != nil {
		t.Fatal(err)
	}
	if next = (corev1.Service{}); !w.get(&next) || next.Spec.ClusterIP != "10.96.0.8" || next.UID == "first" {
		t.Errorf("%s: %+v", next.UID, next.Spec)
	}
}
