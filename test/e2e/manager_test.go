//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
)

func deployment(namespace, name string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// managerLabels are those of the manager's pods.
func managerLabels(t *testing.T) map[string]string {
	t.Helper()
	d := deployment(mesh.SystemNamespace, mesh.ManagerService)
	if err := k.Get(t.Context(), types.NamespacedName{Namespace: d.Namespace, Name: d.Name}, d); err != nil {
		t.Fatal(err)
	}
	return d.Spec.Selector.MatchLabels
}

// TestForeignIdentity enrols with the token of one pod for the identity of another service account.
func TestForeignIdentity(t *testing.T) {
	ns := namespace(t, "identity")
	apply(t, ns, sleeper)
	available(t, ns)
	pod := pods(t, ns, "sleeper")[0]
	token := tokenOf(t, pod)
	for account, allowed := range map[string]bool{"sleeper": true, "default": false} {
		id, err := identity.New("cluster.local", ns, account)
		if err != nil {
			t.Fatal(err)
		}
		err = enrol(t, id, token)
		if allowed && err != nil {
			t.Errorf("own identity: %v", err)
		}
		if !allowed && (err == nil || !strings.Contains(err.Error(), "PermissionDenied")) {
			t.Errorf("identity of service account %s with the token of another: %v, want PermissionDenied", account, err)
		}
	}
	if err := enrol(t, identity.ID{TrustDomain: "cluster.local", Namespace: ns, ServiceAccount: "sleeper"}, "no.such.token"); err == nil {
		t.Error("a token that nobody issued was accepted")
	}
}

// tokenOf makes a token like the one that is projected into the pod.
func tokenOf(t *testing.T, pod corev1.Pod) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      []string{mesh.TokenAud},
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	issued, err := k.kube.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(t.Context(), pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return issued.Status.Token
}

// enrol asks the manager once for a certificate.
func enrol(t *testing.T, id identity.ID, token string) error {
	t.Helper()
	var service corev1.Service
	if err := k.Get(t.Context(), types.NamespacedName{Namespace: mesh.SystemNamespace, Name: mesh.ManagerService}, &service); err != nil {
		t.Fatal(err)
	}
	var bundle corev1.ConfigMap
	if err := k.Get(t.Context(), types.NamespacedName{Namespace: id.Namespace, Name: mesh.TrustBundleName}, &bundle); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(bundle.Data[mesh.TrustKey])) {
		t.Fatal("no roots in the trust bundle")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := enroll.NewClient(enroll.ClientOptions{
		ID: id, Token: func() (string, error) { return token, nil }, Random: func() float64 { return 0 }, Log: slog.New(slog.DiscardHandler),
		Connect: func(context.Context) (*grpc.ClientConn, error) {
			return grpc.NewClient("passthrough:///"+net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(mesh.ManagerPort)),
				grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: mesh.ManagerServerName, MinVersion: tls.VersionTLS13})))
		},
	})
	go func() { _ = c.Run(ctx) }() // ends with ctx
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for {
		state := c.State()
		if state.LastError != "" {
			return fmt.Errorf("%s", state.LastError)
		}
		select {
		case <-c.Ready():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
	}
}

// TestBadAnnotation: a mistake is a denial that names annotation and value.
func TestBadAnnotation(t *testing.T) {
	ns := namespace(t, "annotation")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "bad", Annotations: map[string]string{"mesh.leno.dev/exclude-outbound-ports": "many"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "shop", Image: "leno-shop:dev"}}},
	}
	err := k.Create(t.Context(), pod)
	if err == nil || !strings.Contains(err.Error(), "mesh.leno.dev/exclude-outbound-ports") || !strings.Contains(err.Error(), "many") {
		t.Errorf("got %v, want a denial that names the annotation and its value", err)
	}
}

// TestHeld: while no manager runs, a pod that is to have a sidecar is not created without one.
func TestHeld(t *testing.T) {
	ns := namespace(t, "held")
	d, labels := deployment(mesh.SystemNamespace, mesh.ManagerService), managerLabels(t)
	replicas := scale(t, d, 0)
	defer func() {
		scale(t, d, replicas)
		available(t, mesh.SystemNamespace)
	}()
	eventually(t, patience, "the manager is gone", func(ctx context.Context) error {
		var left corev1.PodList
		if err := k.List(ctx, &left, client.InNamespace(d.Namespace), client.MatchingLabels(labels)); err != nil {
			return err
		}
		if len(left.Items) > 0 {
			return fmt.Errorf("%d pods are left", len(left.Items))
		}
		return nil
	})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "naked"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "shop", Image: "leno-shop:dev"}}},
	}
	if err := k.Create(t.Context(), pod); err == nil {
		t.Error("the pod was created without a sidecar")
	}
	other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "not-in-the-mesh"}, Spec: pod.Spec}
	if err := k.Create(t.Context(), other); err != nil {
		t.Errorf("a pod that is to have no sidecar: %v", err)
	} else if err := k.Delete(t.Context(), other); err != nil {
		t.Error(err)
	}
}

// scale sets the replicas of a Deployment and returns what they were.
func scale(t *testing.T, d *appsv1.Deployment, replicas int32) (before int32) {
	t.Helper()
	eventually(t, patience, "scaling "+d.Name, func(ctx context.Context) error {
		if err := k.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: d.Name}, d); err != nil {
			return err
		}
		before = *d.Spec.Replicas
		d.Spec.Replicas = &replicas
		return k.Update(ctx, d)
	})
	return before
}
