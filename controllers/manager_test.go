package controllers_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers"
	"github.com/leno-mesh/leno/internal/enroll/enrollpb"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/test/apiserver"
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

	server.Install(t, "github.com/cert-manager/cert-manager", "deploy/crds")
	m.condition(t, v1alpha1.MeshCertManagerInstalled, metav1.ConditionTrue, "Installed")
	ca := newCA(t)
	play(t, c, ca)
	t.Run("trust bundle", func(t *testing.T) { m.testTrustBundle(t, ca) })
	m.condition(t, v1alpha1.MeshInjectionReady, metav1.ConditionFalse, "CABundleMissing")
	m.trustWebhook(t, ca)
	m.condition(t, v1alpha1.MeshReady, metav1.ConditionTrue, "Ready")
	t.Run("enrolment", func(t *testing.T) { m.testEnrolment(t, ca) })
	t.Run("a request nobody vouches for", m.testForeignRequest)
	t.Run("renewal of the CA", func(t *testing.T) { m.testRenewal(t, ca) })
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
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	answer := ask()
	for answer != "" {
		select {
		case <-deadline:
			t.Fatalf("%s: %s", what, answer)
		case <-ticker.C:
			answer = ask()
		}
	}
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
}

func (m *running) testEnrolment(t *testing.T, ca *authority) {
	account, pod := m.workload(t)
	bound := m.token(t, account, "leno", &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID})
	mine, other := id("shop", "cart"), id("shop", "bank")

	for what, tc := range map[string]struct {
		token string
		id    identity.ID
		code  codes.Code
	}{
		"its own identity":            {bound, mine, codes.OK},
		"another's identity":          {bound, other, codes.PermissionDenied},
		"a token for something else":  {m.token(t, account, "elsewhere", nil), mine, codes.Unauthenticated},
		"a token that no pod holds":   {m.token(t, account, "leno", nil), mine, codes.PermissionDenied},
		"a token that somebody wrote": {"not.a.token", mine, codes.Unauthenticated},
	} {
		t.Run(what, func(t *testing.T) {
			answer, key, err := m.enrol(t, ca, tc.token, tc.id)
			if status.Code(err) != tc.code {
				t.Fatalf("answer %v, want %v", err, tc.code)
			}
			if tc.code != codes.OK {
				return
			}
			roots, err := identity.ParseBundle(answer.GetRootsPem())
			if err != nil {
				t.Fatal(err)
			}
			svid, err := identity.NewSVID(answer.GetChainPem(), key, roots)
			if err != nil {
				t.Fatal(err)
			}
			if svid.ID != mine || time.Until(svid.NotAfter) > 25*time.Hour {
				t.Errorf("SVID %v until %v", svid, svid.NotAfter)
			}
		})
	}
	eventually(t, "an Event about the denial", func() string {
		var list eventsv1.EventList
		if err := m.client.List(t.Context(), &list, client.InNamespace("shop")); err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			if e.Reason == "CertificateDenied" && e.Regarding.Name == pod.Name && strings.Contains(e.Note, "bank") {
				return ""
			}
		}
		return "there is none"
	})
}

// workload makes a service account and a pod that runs as it.
func (m *running) workload(t *testing.T) (*corev1.ServiceAccount, *corev1.Pod) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1"},
		Spec:       corev1.PodSpec{ServiceAccountName: "cart", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	m.create(t, account, pod)
	return account, pod
}

func (m *running) token(t *testing.T, account *corev1.ServiceAccount, audience string, to *authenticationv1.BoundObjectReference) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, BoundObjectRef: to}}
	if err := m.client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatalf("token: %v", err)
	}
	return request.Status.Token
}

func (m *running) enrol(t *testing.T, ca *authority, token string, want identity.ID) (*enrollpb.SignResponse, crypto.Signer, error) {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.NewCSR(key, want)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: ca.bundle().Pool(), ServerName: mesh.ManagerServerName, MinVersion: tls.VersionTLS13}
	conn, err := grpc.NewClient(m.address.String(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	answer, err := enrollpb.NewEnrollmentServiceClient(conn).Sign(ctx, &enrollpb.SignRequest{CsrDer: csr}, grpc.WaitForReady(true))
	return answer, key, err
}

// testForeignRequest is a CertificateRequest that somebody made by hand, for an identity of choice.
func (m *running) testForeignRequest(t *testing.T) {
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	request := requestFor(t, key, id("shop", "bank"))
	m.create(t, request)
	eventually(t, "a denial", func() string {
		if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(request), request); err != nil {
			return err.Error()
		}
		for _, c := range request.Status.Conditions {
			switch c.Type {
			case cmapi.CertificateRequestConditionApproved:
				t.Fatal("it was approved")
			case cmapi.CertificateRequestConditionDenied:
				return ""
			}
		}
		return "it was not decided"
	})
}

// testRenewal: the new root is trusted before it signs, and the old one stays.
func (m *running) testRenewal(t *testing.T, ca *authority) {
	before := ca.bundle()
	ca.renew(t, m.client)
	eventually(t, "both roots in the bundle", func() string {
		var cm corev1.ConfigMap
		if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: mesh.TrustBundleName}, &cm); err != nil {
			return err.Error()
		}
		if cm.Data[mesh.TrustKey] != string(identity.Union(before, ca.bundle()).PEM()) {
			return "not yet"
		}
		return ""
	})
	signing := func() string {
		var secret corev1.Secret
		if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: mesh.SystemNamespace, Name: "leno-ca-signing"}, &secret); err != nil {
			return err.Error()
		}
		if string(secret.Data[corev1.TLSCertKey]) != string(ca.bundle().PEM()) {
			return "the old CA signs"
		}
		return ""
	}
	if signing() == "" {
		t.Error("the new CA signs at once")
	}
	eventually(t, "the new CA in use", signing)
}
