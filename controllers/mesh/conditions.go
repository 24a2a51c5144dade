// Package mesh looks after the Mesh resource and after the Gateway API's XMesh: it makes them when they are not there and
// says in their conditions what is wrong and what to do about it.
package mesh

import (
	"fmt"
	"strings"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/identity"
)

// Found is what was gathered about the cluster.
type Found struct {
	// MissingGateway and MissingCertManager are the kinds that the cluster does not serve.
	MissingGateway     []schema.GroupVersionKind
	MissingCertManager []schema.GroupVersionKind
	// Issuer signs for workloads.
	Issuer Issuer
	// Webhook calls the manager about new pods.
	Webhook Webhook
}

// Webhook is what is known of the webhook configuration that puts sidecars into pods.
type Webhook struct {
	Exists bool
	// Trusted tells that every entry has the root of the manager's certificate.
	Trusted bool
}

// Issuer is what is known of the issuer of workloads' certificates.
type Issuer struct {
	Kind, Name string
	// External issuers are of kinds that only their own controllers understand.
	External bool
	Exists   bool
	// Ready is its condition of that name, nil when it has none yet.
	Ready *cmapi.IssuerCondition
	// CAReady is that of the operator's own CA Certificate, when the issuer is the operator's own.
	CA *CA
}

// CA is the operator's own certificate authority.
type CA struct {
	Ready    bool
	Message  string
	NotAfter time.Time
}

// Conditions says what the facts mean for a Mesh, in the order in which a reader should mend them. Ready comes last and
// is the first thing that is wrong.
func Conditions(m *v1alpha1.Mesh, f Found) []metav1.Condition {
	all := []metav1.Condition{accepted(m), gatewayAPI(f.MissingGateway), certManager(f.MissingCertManager), issuer(f), injection(f.Webhook)}
	ready := metav1.Condition{Type: v1alpha1.MeshReady, Status: metav1.ConditionTrue, Reason: "Ready", Message: "The mesh is ready"}
	for _, c := range all {
		if c.Status != metav1.ConditionTrue {
			ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, c.Reason, c.Message
			break
		}
	}
	all = append(all, ready)
	for i := range all {
		all[i].ObservedGeneration = m.Generation
	}
	return all
}

func accepted(m *v1alpha1.Mesh) metav1.Condition {
	if d := m.Spec.TrustDomain; d != "" {
		if _, err := identity.New(d, "namespace", "account"); err != nil {
			return failed(v1alpha1.MeshAccepted, "InvalidTrustDomain", "spec.trustDomain: %v", err)
		}
	}
	limits, requests := m.Spec.Proxy.Resources.Limits, m.Spec.Proxy.Resources.Requests
	for name, limit := range limits {
		if request, ok := requests[name]; ok && request.Cmp(limit) > 0 {
			return failed(v1alpha1.MeshAccepted, "InvalidResources",
				"spec.proxy.resources: the request of %s is %s, above the limit of %s: lower it", name, request.String(), limit.String())
		}
	}
	return passed(v1alpha1.MeshAccepted, "Accepted", "The settings are in effect")
}

func gatewayAPI(missing []schema.GroupVersionKind) metav1.Condition {
	if len(missing) > 0 {
		return failed(v1alpha1.MeshGatewayAPIInstalled, "GatewayAPIMissing",
			"The cluster does not serve %s: routes have no effect. Install the custom resource definitions of the Gateway API, version 1.4 or later, standard channel; Leno notices by itself",
			kindList(missing))
	}
	return passed(v1alpha1.MeshGatewayAPIInstalled, "Installed", "The Gateway API is installed")
}

func certManager(missing []schema.GroupVersionKind) metav1.Condition {
	if len(missing) > 0 {
		return failed(v1alpha1.MeshCertManagerInstalled, "CertManagerMissing",
			"The cluster does not serve %s: sidecars get no certificates and do not become ready. Install cert-manager; Leno notices by itself",
			kindList(missing))
	}
	return passed(v1alpha1.MeshCertManagerInstalled, "Installed", "cert-manager is installed")
}

func issuer(f Found) metav1.Condition {
	i := f.Issuer
	noun := i.Kind + " " + i.Name
	switch {
	case len(f.MissingCertManager) > 0:
		return failed(v1alpha1.MeshIssuerReady, "CertManagerMissing", "No issuer can work before cert-manager is installed")
	case i.External:
		return passed(v1alpha1.MeshIssuerReady, "External",
			"%s belongs to another controller: whether it signs shows in the CertificateRequests in leno-system", noun)
	case !i.Exists:
		return failed(v1alpha1.MeshIssuerReady, "IssuerNotFound", "%s does not exist: create it or correct spec.issuerRef", noun)
	case i.CA != nil && !i.CA.Ready:
		return failed(v1alpha1.MeshIssuerReady, "CANotReady",
			"Certificate leno-ca in leno-system is not issued: %s. If that stays so, see whether cert-manager's pods run", orWaiting(i.CA.Message))
	case i.Ready == nil:
		return failed(v1alpha1.MeshIssuerReady, "Pending", "%s has no status yet. If that stays so, see whether cert-manager's pods run", noun)
	case i.Ready.Status != cmmeta.ConditionTrue:
		return failed(v1alpha1.MeshIssuerReady, "IssuerNotReady", "%s is not ready: %s", noun, i.Ready.Message)
	case i.CA != nil:
		return passed(v1alpha1.MeshIssuerReady, "Ready", "%s signs; the newest CA is valid until %s", noun, i.CA.NotAfter.UTC().Format(time.RFC3339))
	default:
		return passed(v1alpha1.MeshIssuerReady, "Ready", "%s signs", noun)
	}
}

func injection(w Webhook) metav1.Condition {
	switch {
	case !w.Exists:
		return failed(v1alpha1.MeshInjectionReady, "WebhookMissing",
			"MutatingWebhookConfiguration %s does not exist: new pods get no sidecars. Apply config/default, or config/overlays/olm where OLM installed Leno", WebhookName)
	case !w.Trusted:
		return failed(v1alpha1.MeshInjectionReady, "CABundleMissing",
			"MutatingWebhookConfiguration %s has no CA bundle yet: new pods of the mesh are held. If that stays so, see whether cert-manager's CA injector runs", WebhookName)
	}
	return passed(v1alpha1.MeshInjectionReady, "Ready", "New pods of the mesh get sidecars")
}

func orWaiting(message string) string {
	if message == "" {
		return "nothing was heard from cert-manager yet"
	}
	return strings.TrimSuffix(message, ".")
}

func kindList(kinds []schema.GroupVersionKind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, fmt.Sprintf("%s (%s)", k.Kind, k.GroupVersion()))
	}
	return strings.Join(names, ", ")
}

func passed(kind, reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func failed(kind, reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
}
