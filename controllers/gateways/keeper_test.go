package gateways_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers"
	"github.com/leno-mesh/leno/controllers/feed"
	"github.com/leno-mesh/leno/controllers/gateways"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/test/apiserver"
	"github.com/leno-mesh/leno/test/poll"
)

// patience is how long the API server may take for anything.
const patience = 30 * time.Second

// TestKeeper runs the Keeper with the rights that config/ gives the manager and no more, against a real API server.
func TestKeeper(t *testing.T) {
	server := apiserver.Start(t)
	server.Install(t, "sigs.k8s.io/gateway-api", "config/crd/experimental")
	for _, folder := range []string{"config/manager", "config/rbac"} {
		server.Apply(t, folder, func(*unstructured.Unstructured) bool { return true })
	}
	r := start(t, server)
	r.create(t,
		&v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MeshName}},
		&gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "example.com/other"}},
	)
	for _, tc := range []struct {
		what string
		test func(*testing.T, *running)
	}{
		{"the class", testClass},
		{"objects are made", testMade},
		{"ports follow", testPorts},
		{"the Mesh's settings", testSettings},
		{"drift", testDrift},
		{"what others add stays", testOthersFields},
		{"parameters", testParameters},
		{"an autoscaler", testAutoscaler},
		{"a name that is taken", testNameTaken},
		{"an account that is taken", testAccountTaken},
		{"what the API server refuses", testRefused},
		{"ClusterIPs", testClusterIPs},
		{"an upgrade", testUpgrade},
		{"an orphan", testOrphan},
		{"an earlier Gateway's objects", testEarlier},
		{"the class of another controller", testOtherClass},
		{"a name of 253 characters", testLongName},
		{"a new leader", testNewLeader},
	} {
		if !t.Run(tc.what, func(t *testing.T) { tc.test(t, r) }) {
			return // each takes the cluster as the one before left it
		}
	}
}

// running is a Keeper and a client that may do everything.
type running struct {
	server *apiserver.Server
	client client.Client
	keeper *gateways.Keeper
	wants  map[mesh.Name]*mesh.Gateway
}

func start(t *testing.T, server *apiserver.Server) *running {
	t.Helper()
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{server: server, wants: map[mesh.Name]*mesh.Gateway{}}
	if r.client, err = client.New(server.Config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	byObject := feed.ByObject()
	maps.Copy(byObject, gateways.ByObject())
	mgr, err := ctrl.NewManager(server.As(mesh.SystemNamespace, "leno-manager"), ctrl.Options{
		Scheme: scheme, Cache: cache.Options{ByObject: byObject, DefaultTransform: cache.TransformStripManagedFields()},
		HealthProbeBindAddress: "0", Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.keeper, err = gateways.Setup(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := mgr.Start(ctx); err != nil {
			t.Errorf("manager: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return r
}

// want changes the wished Gateways, as the pipeline does: with a new map.
func (r *running) want(gateways ...*mesh.Gateway) {
	next := maps.Clone(r.wants)
	for _, g := range gateways {
		next[g.Name] = g
	}
	r.wants = next
	r.keeper.Set(next)
}

func (r *running) unwant(name mesh.Name) {
	next := maps.Clone(r.wants)
	delete(next, name)
	r.wants = next
	r.keeper.Set(next)
}

// gateway makes the Gateway in the cluster, and the noun that the graph would make of it.
func (r *running) gateway(t *testing.T, name string, ports ...uint16) *mesh.Gateway {
	t.Helper()
	object := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: mesh.GatewayClass,
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
	r.create(t, object)
	g := &mesh.Gateway{
		Name: mesh.Name{Namespace: "default", Name: name}, ServiceAccount: mesh.GatewayServiceAccount(name),
		Infrastructure: mesh.Infrastructure{UID: string(object.UID), Class: mesh.GatewayClass, Labels: map[string]string{"team": "shop"}},
	}
	for _, number := range ports {
		g.Ports = append(g.Ports, mesh.GatewayPort{Number: number, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerHTTP}}})
	}
	return g
}

// move gives a Gateway to the class of another controller.
func (r *running) move(t *testing.T, name string) {
	t.Helper()
	var object gatewayv1.Gateway
	if err := r.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &object); err != nil {
		t.Fatal(err)
	}
	object.Spec.GatewayClassName = "other"
	if err := r.client.Update(t.Context(), &object); err != nil {
		t.Fatal(err)
	}
}

func (r *running) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := r.client.Create(t.Context(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

// get reads the object of a Gateway; it fails the test when it is not there.
func get[T client.Object](t *testing.T, r *running, g mesh.Name, into T) T {
	t.Helper()
	if err := r.read(t, g, into); err != nil {
		t.Fatalf("%T: %v", into, err)
	}
	return into
}

func (r *running) read(t *testing.T, g mesh.Name, into client.Object) error {
	return r.client.Get(t.Context(), client.ObjectKey{Namespace: g.Namespace, Name: mesh.GatewayServiceAccount(g.Name)}, into)
}

// change writes an object of a Gateway as somebody else would.
func change[T client.Object](t *testing.T, r *running, g mesh.Name, into T, edit func(T)) {
	t.Helper()
	eventually(t, "change", func() string {
		edit(get(t, r, g, into))
		if err := r.client.Update(t.Context(), into); err != nil {
			return err.Error()
		}
		return ""
	})
}

// becomes waits until an object of a Gateway is as it should be.
func becomes[T client.Object](t *testing.T, r *running, g mesh.Name, what string, into T, is func(T) bool) {
	t.Helper()
	eventually(t, what, func() string {
		if err := r.read(t, g, into); err != nil {
			return err.Error()
		}
		if !is(into) {
			return "not so"
		}
		return ""
	})
}

// event waits for an Event on a Gateway, with some words.
func (r *running) event(t *testing.T, g mesh.Name, reason, words string) {
	t.Helper()
	eventually(t, "event "+reason, func() string {
		var list eventsv1.EventList
		if err := r.client.List(t.Context(), &list, client.InNamespace(g.Namespace)); err != nil {
			return err.Error()
		}
		var others []string
		for _, e := range list.Items {
			if e.Regarding.Kind != "Gateway" || e.Regarding.Name != g.Name {
				continue
			}
			if e.Reason == reason && strings.Contains(e.Note, words) {
				return ""
			}
			others = append(others, e.Reason+": "+e.Note)
		}
		return "there is none, but " + strings.Join(others, "; ")
	})
}

// eventually asks until the answer is "", and fails with the last answer.
func eventually(t *testing.T, what string, ask func() string) {
	t.Helper()
	poll.Answer(t, patience, what, ask)
}

func number(service *corev1.Service, port int32) bool {
	for _, p := range service.Spec.Ports {
		if p.Port == port {
			return true
		}
	}
	return false
}

func replicas(n int32) func(*appsv1.Deployment) bool {
	return func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == n }
}

func autoscaler(target string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: target},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: target}, MaxReplicas: 10,
		},
	}
}

// missing tells whether an object of a Gateway is not there.
func (r *running) missing(t *testing.T, g mesh.Name, object client.Object) bool {
	return apierrors.IsNotFound(r.read(t, g, object))
}

var kinds = []func() client.Object{
	func() client.Object { return &corev1.ServiceAccount{} },
	func() client.Object { return &appsv1.Deployment{} },
	func() client.Object { return &policyv1.PodDisruptionBudget{} },
	func() client.Object { return &corev1.Service{} },
}

func ownedBy(o client.Object, uid string) bool {
	owner := metav1.GetControllerOf(o)
	return owner != nil && owner.UID == types.UID(uid)
}
