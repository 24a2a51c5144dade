package controllers_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/test/apiserver"
	"github.com/leno-mesh/leno/test/poll"
)

// patience is how long the cluster may take for anything.
const patience = 30 * time.Second

// TestManager brings up the manager in an empty cluster and installs around it what a cluster needs, one thing after the
// other, as it may happen to a user. It has the rights that config/ gives it and no more. cert-manager is played by the
// test.
func TestManager(t *testing.T) {
	server := apiserver.Start(t)
	server.Apply(t, "config/default", deaf(t))
	m := start(t, server)
	c := m.client

	m.condition(t, v1alpha1.MeshGatewayAPIInstalled, metav1.ConditionFalse, "GatewayAPIMissing")
	m.condition(t, v1alpha1.MeshCertManagerInstalled, metav1.ConditionFalse, "CertManagerMissing")
	m.condition(t, v1alpha1.MeshReady, metav1.ConditionFalse, "GatewayAPIMissing")

	server.Install(t, "sigs.k8s.io/gateway-api", "config/crd/experimental")
	m.condition(t, v1alpha1.MeshGatewayAPIInstalled, metav1.ConditionTrue, "Installed")
	t.Run("XMesh", m.testXMesh)
	t.Run("route status", m.testRouteStatus)
	t.Run("policy status", m.testPolicyStatus)
	t.Run("XBackend status", m.testXBackendStatus)
	t.Run("features", m.testFeatures)
	t.Run("addresses of a Gateway", m.testAddresses)
	t.Run("parameters of gateways", m.testGatewayParameters)
	t.Run("unknown fields", func(t *testing.T) { m.testUnknownFields(t, server) })

	server.Install(t, "github.com/cert-manager/cert-manager", "deploy/crds")
	m.condition(t, v1alpha1.MeshCertManagerInstalled, metav1.ConditionTrue, "Installed")
	ca := newCA(t)
	play(t, c, ca)
	t.Run("trust bundle", func(t *testing.T) { m.testTrustBundle(t, ca) })
	t.Run("ClusterTrustBundle", func(t *testing.T) { m.testClusterTrustBundle(t, ca) })
	m.condition(t, v1alpha1.MeshInjectionReady, metav1.ConditionFalse, "CABundleMissing")
	m.trustWebhook(t, ca)
	m.condition(t, v1alpha1.MeshReady, metav1.ConditionTrue, "Ready")
	t.Run("enrolment", func(t *testing.T) { m.testEnrolment(t, ca) })
	t.Run("a request nobody vouches for", m.testForeignRequest)
	t.Run("renewal of the CA", func(t *testing.T) { m.testRenewal(t, ca) })
	t.Run("an issuer of the user's", func(t *testing.T) { m.testExternalIssuer(t, ca) })
}

// TestFollower: a replica that does not lead serves as well as the leader does.
func TestFollower(t *testing.T) {
	server := apiserver.Start(t)
	server.Install(t, "sigs.k8s.io/gateway-api", "config/crd/experimental")
	server.Install(t, "github.com/cert-manager/cert-manager", "deploy/crds")
	server.Apply(t, "config/default", deaf(t))
	ca := newCA(t)
	m := connect(t, server)
	leader, hour := "somebody else", int32(3600)
	pair, err := ca.serving(mesh.ManagerServerName)
	if err != nil {
		t.Fatal(err)
	}
	m.create(t,
		&coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: mesh.SystemNamespace, Name: "leno-manager"},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &leader, LeaseDurationSeconds: &hour, RenewTime: &metav1.MicroTime{Time: time.Now()}},
		},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: mesh.SystemNamespace, Name: mesh.TrustBundleName},
			Data:       map[string]string{mesh.TrustKey: string(ca.bundle().PEM())},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: mesh.SystemNamespace, Name: "leno-manager-tls"}, Type: corev1.SecretTypeTLS, Data: pair},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
	)
	m.address = start(t, server).address
	play(t, m.client, ca)
	account, pod := m.workload(t)
	token := m.token(t, account, "leno", &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID})
	eventually(t, "the replica serves", func() string {
		if _, _, err := m.enrol(t, ca, token, id("shop", "cart")); err != nil {
			return err.Error()
		}
		return ""
	})
	began := time.Now()
	if _, _, err := m.enrol(t, ca, token, id("shop", "cart")); err != nil {
		t.Fatal(err)
	}
	// It hears of the certificate, and does not only find it when it asks again.
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("a certificate took %s", took)
	}
}

// deaf applies everything, but the webhook only for pods that do not exist: no manager runs where the API server looks for it.
func deaf(t *testing.T) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		if o.GetKind() != "MutatingWebhookConfiguration" {
			return true
		}
		entries, _, err := unstructured.NestedSlice(o.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			e.(map[string]any)["objectSelector"] = map[string]any{"matchLabels": map[string]any{"no": "pod"}}
		}
		if err := unstructured.SetNestedSlice(o.Object, entries, "webhooks"); err != nil {
			t.Fatal(err)
		}
		return true
	}
}

// trustWebhook plays cert-manager's CA injector.
func (m *running) trustWebhook(t *testing.T, ca *authority) {
	t.Helper()
	var config admissionregistrationv1.MutatingWebhookConfiguration
	if err := m.client.Get(t.Context(), client.ObjectKey{Name: "leno-inject"}, &config); err != nil {
		t.Fatal(err)
	}
	for i := range config.Webhooks {
		config.Webhooks[i].ClientConfig.CABundle = ca.bundle().PEM()
	}
	if err := m.client.Update(t.Context(), &config); err != nil {
		t.Fatal(err)
	}
}

// running is a manager and a client of its cluster.
type running struct {
	client  client.Client
	address net.Addr
}

func start(t *testing.T, server *apiserver.Server) *running {
	t.Helper()
	bound := make(chan net.Addr, 1)
	mgr, err := controllers.New(server.As(mesh.SystemNamespace, "leno-manager"), controllers.Config{
		ProxyAddress: "127.0.0.1:0", WebhookPort: -1, HealthAddress: "0", MetricsAddress: "0",
		LeaderElection: true, Several: true, RootPropagation: 2 * time.Second, Bound: func(a net.Addr) { bound <- a },
	})
	if err != nil {
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
	m := connect(t, server)
	select {
	case m.address = <-bound:
		return m
	case <-time.After(patience):
		t.Fatal("the manager does not listen for proxies")
		return nil
	}
}

// connect makes a client that may do everything.
func connect(t *testing.T, server *apiserver.Server) *running {
	t.Helper()
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(server.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &running{client: c}
}

func (m *running) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := m.client.Create(t.Context(), o); err != nil {
			t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

// eventually asks until the answer is "", and fails with the last answer.
func eventually(t *testing.T, what string, ask func() string) {
	t.Helper()
	poll.Answer(t, patience, what, ask)
}

func (m *running) condition(t *testing.T, kind string, value metav1.ConditionStatus, reason string) {
	t.Helper()
	eventually(t, "condition "+kind+" of the Mesh", func() string {
		var now v1alpha1.Mesh
		if err := m.client.Get(t.Context(), client.ObjectKey{Name: v1alpha1.MeshName}, &now); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(now.Status.Conditions, kind)
		switch {
		case c == nil:
			return "is missing"
		case c.Status != value || c.Reason != reason:
			return string(c.Status) + " " + c.Reason + ": " + c.Message
		case c.ObservedGeneration != now.Generation:
			return "is about an older generation"
		}
		return ""
	})
}

func (m *running) testXMesh(t *testing.T) {
	eventually(t, "XMesh leno", func() string {
		var x xv1alpha1.XMesh
		if err := m.client.Get(t.Context(), client.ObjectKey{Name: "leno"}, &x); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(x.Status.Conditions, "Accepted")
		if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != x.Generation {
			return "is not accepted"
		}
		if !slices.IsSortedFunc(x.Status.SupportedFeatures, func(a, b gatewayv1.SupportedFeature) int {
			return strings.Compare(string(a.Name), string(b.Name))
		}) || len(x.Status.SupportedFeatures) < 10 {
			return "features are not in order"
		}
		return ""
	})
}

// testPolicyStatus expects a word on each target of a policy.
func (m *running) testPolicyStatus(t *testing.T) {
	policy := &xv1alpha1.XBackendTrafficPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cart"},
		Spec: xv1alpha1.BackendTrafficPolicySpec{
			TargetRefs:      []xv1alpha1.LocalPolicyTargetReference{{Kind: "Service", Name: "cart"}, {Kind: "Service", Name: "nobody"}},
			RetryConstraint: &xv1alpha1.RetryConstraint{},
		},
	}
	m.create(t, policy)
	eventually(t, "status of the policy", func() string {
		if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
			return err.Error()
		}
		got := map[string]string{}
		for _, a := range policy.Status.Ancestors {
			if c := meta.FindStatusCondition(a.Conditions, "Accepted"); c != nil {
				got[string(a.AncestorRef.Name)] = c.Reason
			}
		}
		if got["cart"] != "Accepted" || got["nobody"] != "TargetNotFound" {
			return fmt.Sprint(got)
		}
		return ""
	})
}

// testXBackendStatus expects a word for the Service whose route leads to an XBackend.
func (m *running) testXBackendStatus(t *testing.T) {
	backend := &xv1alpha1.XBackend{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "outside"},
		Spec: xv1alpha1.BackendSpec{
			Type: xv1alpha1.BackendTypeExternalHostname, Port: xv1alpha1.BackendPort{Number: 80},
			ExternalHostname: &xv1alpha1.ExternalHostnameBackend{Hostname: "api.example.com"},
		},
	}
	service, core := gatewayv1.Kind("Service"), gatewayv1.Group("")
	kind, group := gatewayv1.Kind("XBackend"), gatewayv1.Group(xv1alpha1.GroupName)
	m.create(t, backend, &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "outside"},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Kind: &service, Group: &core, Name: "cart"}}},
			Rules: []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
				BackendObjectReference: gatewayv1.BackendObjectReference{Kind: &kind, Group: &group, Name: "outside"},
			}}}}},
		},
	})
	eventually(t, "status of the XBackend", func() string {
		if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(backend), backend); err != nil {
			return err.Error()
		}
		for _, a := range backend.Status.Ancestors {
			if a.AncestorRef.Name == "cart" && meta.IsStatusConditionTrue(a.Conditions, "Accepted") {
				return ""
			}
		}
		return fmt.Sprint(backend.Status)
	})
}

// testFeatures: the GatewayClass claims what the definitions in the cluster, of the experimental channel, have fields for.
func (m *running) testFeatures(t *testing.T) {
	eventually(t, "features of the GatewayClass", func() string {
		var class gatewayv1.GatewayClass
		if err := m.client.Get(t.Context(), client.ObjectKey{Name: "leno"}, &class); err != nil {
			return err.Error()
		}
		for _, f := range class.Status.SupportedFeatures {
			if f.Name == "GatewayAddressRoutability" {
				return ""
			}
		}
		return fmt.Sprintf("%v", class.Status.SupportedFeatures)
	})
}

// testRouteStatus also waits for a write too many.
func (m *running) testRouteStatus(t *testing.T) {
	port := gatewayv1.PortNumber(80)
	kind, group := gatewayv1.Kind("Service"), gatewayv1.Group("")
	route := &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cart"},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Kind: &kind, Group: &group, Name: "cart", Port: &port}}},
		},
	}
	m.create(t, route)
	accepted := func(value metav1.ConditionStatus) func() string {
		return func() string {
			if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(route), route); err != nil {
				return err.Error()
			}
			for _, p := range route.Status.Parents {
				if meta.IsStatusConditionPresentAndEqual(p.Conditions, "Accepted", value) {
					return ""
				}
			}
			return "no such condition"
		}
	}
	eventually(t, "a route without its Service", accepted(metav1.ConditionFalse))
	m.create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cart"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Name: "http", TargetPort: intstr.FromInt32(8080)}}},
	})
	eventually(t, "a route with its Service", accepted(metav1.ConditionTrue))
	written := route.ResourceVersion
	// Unrelated news must not lead to a write.
	m.create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	})
	second := route.DeepCopy()
	second.ResourceVersion, second.UID, second.Name = "", "", "second"
	m.create(t, second)
	route, first := second, route
	eventually(t, "a second route", accepted(metav1.ConditionTrue))
	if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(first), first); err != nil {
		t.Fatal(err)
	}
	if first.ResourceVersion != written {
		t.Error("the status of a route was written again although nothing changed")
	}
}

func (m *running) testTrustBundle(t *testing.T, ca *authority) {
	m.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{mesh.LabelInject: "enabled"}}})
	bundle := func(namespace string) func() string {
		return func() string {
			var cm corev1.ConfigMap
			if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: mesh.TrustBundleName}, &cm); err != nil {
				return err.Error()
			}
			if cm.Data[mesh.TrustKey] != string(ca.bundle().PEM()) {
				return "holds something else: " + cm.Data[mesh.TrustKey]
			}
			return ""
		}
	}
	eventually(t, "bundle of a labelled namespace", bundle("shop"))
	if err := m.client.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: mesh.TrustBundleName}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bundle that somebody deleted", bundle("shop"))
	m.create(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "lone", Annotations: map[string]string{mesh.AnnotationInjected: "native"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	})
	eventually(t, "bundle of a namespace with an injected pod", bundle("default"))
	m.create(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "front", Annotations: map[string]string{mesh.AnnotationGateway: "front"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "leno-proxy", Image: "leno-proxy"}}},
	})
	eventually(t, "bundle of a namespace with a gateway, where nothing is injected", bundle("kube-system"))
}
