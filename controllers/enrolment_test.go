package controllers_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/enroll/enrollpb"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
)

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
			if c.Type == cmapi.CertificateRequestConditionApproved {
				t.Fatal("it was approved")
			}
			if c.Type == cmapi.CertificateRequestConditionDenied {
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

// testExternalIssuer: a root that only the user's issuer knows is trusted by all as soon as it has signed.
func (m *running) testExternalIssuer(t *testing.T, ca *authority) {
	serving := ca.bundle()
	var settings v1alpha1.Mesh
	if err := m.client.Get(t.Context(), client.ObjectKey{Name: v1alpha1.MeshName}, &settings); err != nil {
		t.Fatal(err)
	}
	settings.Spec.IssuerRef = &v1alpha1.IssuerReference{Name: "vault", Kind: "VaultIssuer", Group: "vault.example"}
	if err := m.client.Update(t.Context(), &settings); err != nil {
		t.Fatal(err)
	}
	m.condition(t, v1alpha1.MeshIssuerReady, metav1.ConditionTrue, "External")
	ca.replace(newCA(t).ca)
	var pod corev1.Pod
	if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "cart-1"}, &pod); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}}
	token := m.token(t, account, "leno", &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID})
	answer, _, err := m.enrol(t, &authority{ca: ca.first}, token, id("shop", "cart"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(answer.GetRootsPem()), string(ca.bundle().PEM())) {
		t.Error("the answer lacks the root of its own certificate")
	}
	eventually(t, "the user's root in every namespace", func() string {
		var cm corev1.ConfigMap
		if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: mesh.TrustBundleName}, &cm); err != nil {
			return err.Error()
		}
		for _, root := range []*identity.Bundle{serving, ca.bundle()} {
			if !strings.Contains(cm.Data[mesh.TrustKey], string(root.PEM())) {
				return "a root is missing"
			}
		}
		return ""
	})
}
