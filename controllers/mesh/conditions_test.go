package mesh

import (
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers/served"
)

func TestConditions(t *testing.T) {
	ready := &cmapi.IssuerCondition{Type: cmapi.IssuerConditionReady, Status: cmmeta.ConditionTrue}
	good := Found{
		Issuer:  Issuer{Kind: "Issuer", Name: "leno-mesh", Exists: true, Ready: ready, CA: &CA{Ready: true, NotAfter: time.Unix(0, 0)}},
		Webhook: Webhook{Exists: true, Trusted: true},
	}
	for what, tc := range map[string]struct {
		change func(*v1alpha1.Mesh, *Found)
		kind   string // of the condition that is false; "" when all is well
		reason string
		says   string
	}{
		"all is well": {func(*v1alpha1.Mesh, *Found) {}, "", "", ""},
		"a trust domain that is none": {func(m *v1alpha1.Mesh, _ *Found) { m.Spec.TrustDomain = "Not Valid" },
			v1alpha1.MeshAccepted, "InvalidTrustDomain", "spec.trustDomain"},
		"more requested than allowed": {func(m *v1alpha1.Mesh, _ *Found) {
			m.Spec.Proxy.Resources.Requests = corev1.ResourceList{"memory": resource.MustParse("1Gi")}
			m.Spec.Proxy.Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("64Mi")}
		}, v1alpha1.MeshAccepted, "InvalidResources", "lower it"},
		"no Gateway API": {func(_ *v1alpha1.Mesh, f *Found) { f.MissingGateway = []schema.GroupVersionKind{served.HTTPRoute} },
			v1alpha1.MeshGatewayAPIInstalled, "GatewayAPIMissing", "HTTPRoute (gateway.networking.k8s.io/v1)"},
		"no cert-manager": {func(_ *v1alpha1.Mesh, f *Found) {
			f.MissingCertManager, f.Issuer = []schema.GroupVersionKind{served.Issuer}, Issuer{}
		}, v1alpha1.MeshCertManagerInstalled, "CertManagerMissing", "Install cert-manager"},
		"no such issuer": {func(_ *v1alpha1.Mesh, f *Found) { f.Issuer = Issuer{Kind: "ClusterIssuer", Name: "vault"} },
			v1alpha1.MeshIssuerReady, "IssuerNotFound", "ClusterIssuer vault does not exist"},
		"a CA that is not issued": {func(_ *v1alpha1.Mesh, f *Found) { f.Issuer.CA = &CA{Message: "waiting."} },
			v1alpha1.MeshIssuerReady, "CANotReady", "is not issued: waiting."},
		"an issuer nobody looked at": {func(_ *v1alpha1.Mesh, f *Found) { f.Issuer.Ready = nil },
			v1alpha1.MeshIssuerReady, "Pending", "cert-manager's pods"},
		"an issuer that is not ready": {func(_ *v1alpha1.Mesh, f *Found) {
			f.Issuer.Ready = &cmapi.IssuerCondition{Status: cmmeta.ConditionFalse, Message: "sealed"}
		}, v1alpha1.MeshIssuerReady, "IssuerNotReady", "sealed"},
		"no webhook": {func(_ *v1alpha1.Mesh, f *Found) { f.Webhook = Webhook{} },
			v1alpha1.MeshInjectionReady, "WebhookMissing", "config/default"},
		"a webhook without a CA": {func(_ *v1alpha1.Mesh, f *Found) { f.Webhook.Trusted = false },
			v1alpha1.MeshInjectionReady, "CABundleMissing", "CA injector"},
	} {
		t.Run(what, func(t *testing.T) {
			m := &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Generation: 7}}
			f := good
			tc.change(m, &f)
			all := Conditions(m, f)
			summary := meta.FindStatusCondition(all, v1alpha1.MeshReady)
			if tc.kind == "" {
				for _, c := range all {
					if c.Status != metav1.ConditionTrue || c.ObservedGeneration != 7 {
						t.Errorf("%+v", c)
					}
				}
				return
			}
			c := meta.FindStatusCondition(all, tc.kind)
			if c.Status != metav1.ConditionFalse || c.Reason != tc.reason || !strings.Contains(c.Message, tc.says) {
				t.Errorf("got %+v, want %s with %q", c, tc.reason, tc.says)
			}
			if summary.Status != metav1.ConditionFalse || summary.Reason != tc.reason {
				t.Errorf("summary %+v, want reason %s", summary, tc.reason)
			}
		})
	}
}
