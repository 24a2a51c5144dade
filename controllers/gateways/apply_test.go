package gateways

import (
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
	"github.com/leno-mesh/leno/internal/status"
)

var public = mesh.Name{Namespace: "shop", Name: "public"}

// world is a Keeper in front of an API of its own. What needs a real one is in keeper_test.go.
type world struct {
	*Keeper
	t      *testing.T
	api    client.WithWatch
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
	there = append(there, &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MeshName}},
		class("leno", status.ControllerName), class("other", "example.com/other"))
	api := fake.NewClientBuilder().WithScheme(s).WithObjects(there...).Build()
	recorder := events.NewFakeRecorder(10)
	return &world{New(Config{Client: api, Live: api, Events: recorder}), t, api, recorder}
}

func class(name, controller string) *gatewayv1.GatewayClass {
	return &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(controller)},
	}
}

// object is the Gateway itself, of a class.
func object(class string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "public", UID: "42"}, Spec: gatewayv1.GatewaySpec{GatewayClassName: gatewayv1.ObjectName(class)},
	}
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

// bring does what a worker would.
func (w *world) bring() {
	w.t.Helper()
	if _, err := w.Keeper.bring(w.t.Context(), public); err != nil {
		w.t.Fatal(err)
	}
}

func all() []client.Object {
	return []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &corev1.ServiceAccount{}, &policyv1.PodDisruptionBudget{}}
}

// TestLost: only a Gateway that went to another controller loses what was made for it.
func TestLost(t *testing.T) {
	for what, tc := range map[string]struct {
		now  client.Object // what became of the Gateway; nil: it is gone, and the cluster collects what it owned
		lost bool
	}{
		"gone":                               {nil, false},
		"not known for a moment":             {object("leno"), false},
		"of a class that is not there":       {object("later"), false},
		"of a class of another controller's": {object("other"), true},
	} {
		t.Run(what, func(t *testing.T) {
			var there []client.Object
			if tc.now != nil {
				there = append(there, tc.now)
			}
			w := newWorld(t, there...)
			w.Set(wants(80, 443))
			w.bring()
			for _, object := range all() {
				if !w.get(object) {
					t.Fatalf("%T was not made", object)
				}
			}
			w.Set(nil)
			w.bring()
			for _, object := range all() {
				if w.get(object) == tc.lost {
					t.Errorf("%T: lost is %v, want %v", object, !tc.lost, tc.lost)
				}
			}
		})
	}
}

// TestHeld: while parameters are not known nothing is made, changed or removed.
func TestHeld(t *testing.T) {
	w := newWorld(t)
	held := wants(80)
	held[public].Infrastructure.Held = true
	w.Set(held)
	w.bring()
	for _, object := range all() {
		if w.get(object) {
			t.Errorf("%T was made", object)
		}
	}
	w.Set(wants(80))
	w.bring()
	held = wants(443)
	held[public].Infrastructure.Held = true
	w.Set(held)
	w.bring()
	var s corev1.Service
	if !w.get(&s) || s.Spec.Ports[0].Port != 80 {
		t.Errorf("the Service changed: %+v", s.Spec)
	}
}

// What somebody changed is put right; what belongs to others, like the number of replicas, stays.
func TestKept(t *testing.T) {
	w := newWorld(t)
	w.Set(wants(80))
	w.bring()
	var d appsv1.Deployment
	w.get(&d)
	d.Spec.Replicas = new(int32(3))
	d.Spec.Template.Spec.Containers[0].Image = "evil"
	if err := w.api.Update(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	w.bring()
	w.get(&d)
	if image := d.Spec.Template.Spec.Containers[0].Image; image == "evil" || *d.Spec.Replicas != 3 {
		t.Errorf("image %s, %d replicas", image, *d.Spec.Replicas)
	}
}

// TestNoMesh: defaults are no stand-in for settings that are gone for a moment.
func TestNoMesh(t *testing.T) {
	w := newWorld(t)
	if err := w.api.Delete(t.Context(), &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MeshName}}); err != nil {
		t.Fatal(err)
	}
	w.Set(wants(80))
	if _, err := w.Keeper.bring(t.Context(), public); !apierrors.IsNotFound(err) {
		t.Errorf("bring: %v", err)
	}
	if w.get(&appsv1.Deployment{}) {
		t.Error("proxies by default settings")
	}
}

// An object of somebody else is left alone, and the Gateway's owner is told once; pods do not run as somebody else's account.
func TestForeignObject(t *testing.T) {
	name := metav1.ObjectMeta{Namespace: "shop", Name: "public-leno"}
	for what, tc := range map[string]struct {
		theirs client.Object
		rest   bool // is made
	}{
		"Service":        {&corev1.Service{ObjectMeta: name}, true},
		"ServiceAccount": {&corev1.ServiceAccount{ObjectMeta: name}, false},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, tc.theirs, object("leno"))
			w.Set(wants(80))
			for range 2 {
				if again, err := w.Keeper.bring(t.Context(), public); err != nil || again != retryProblem {
					t.Errorf("bring: again in %s, %v", again, err)
				}
			}
			if event := <-w.events.Events; !strings.Contains(event, "NameTaken "+what+" shop/public-leno exists and was not made by Leno") {
				t.Errorf("event %q", event)
			}
			if len(w.events.Events) > 0 {
				t.Errorf("told again: %q", <-w.events.Events)
			}
			if got := w.get(&appsv1.Deployment{}); got != tc.rest {
				t.Errorf("the Deployment was made: %v", got)
			}
			moved := &gatewayv1.Gateway{}
			if err := w.api.Get(t.Context(), client.ObjectKeyFromObject(object("leno")), moved); err != nil {
				t.Fatal(err)
			}
			moved.Spec.GatewayClassName = "other"
			if err := w.api.Update(t.Context(), moved); err != nil {
				t.Fatal(err)
			}
			w.Set(nil)
			w.bring()
			if !w.get(tc.theirs) || len(tc.theirs.GetOwnerReferences()) > 0 {
				t.Error("what is somebody else's was touched")
			}
		})
	}
}
