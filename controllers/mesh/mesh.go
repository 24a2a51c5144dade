package mesh

import (
	"context"
	"fmt"
	"slices"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers/certificates"
	"github.com/leno-mesh/leno/controllers/served"
	nouns "github.com/leno-mesh/leno/internal/mesh"
)

//+kubebuilder:rbac:groups=mesh.leno.dev,resources=meshes,verbs=create
//+kubebuilder:rbac:groups=mesh.leno.dev,resources=meshes/status,verbs=update;patch
//+kubebuilder:rbac:groups=cert-manager.io,resources=clusterissuers,verbs=get
//+kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=leno-inject,verbs=get

// WebhookName is the name of the webhook configuration in config/webhook.
const WebhookName = "leno-inject"

// How often the cluster is asked again for what nobody tells about: definitions that come and go, issuers.
const (
	lookWaiting = 2 * time.Second // something is wrong and may be mended any moment
	lookReady   = 30 * time.Second
)

// meshReconciler makes the Mesh and keeps its status. It runs on the leader.
type meshReconciler struct {
	client client.Client
	live   client.Reader
	mapper meta.RESTMapper
}

// Reconcile writes the status only when it means something else than before.
func (r *meshReconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	var m v1alpha1.Mesh
	if err := r.client.Get(ctx, req.NamespacedName, &m); err != nil {
		if !apierrors.IsNotFound(err) {
			return ctrl.Result{}, err
		}
		return ctrl.Result{}, ensureMesh(ctx, r.client) // a mesh without settings has the default ones, visibly
	}
	found, err := r.gather(ctx, &m)
	if err != nil {
		return ctrl.Result{}, err
	}
	before := m.Status.DeepCopy()
	for _, c := range Conditions(&m, found) {
		meta.SetStatusCondition(&m.Status.Conditions, c)
	}
	m.Status.ObservedGeneration = m.Generation
	if !equality.Semantic.DeepEqual(*before, m.Status) {
		if err := r.client.Status().Update(ctx, &m); err != nil {
			return ctrl.Result{}, fmt.Errorf("status of Mesh %s: %w", m.Name, err)
		}
	}
	if meta.IsStatusConditionTrue(m.Status.Conditions, v1alpha1.MeshReady) {
		return ctrl.Result{RequeueAfter: lookReady}, nil
	}
	return ctrl.Result{RequeueAfter: lookWaiting}, nil
}

// ensureMesh creates the Mesh with its defaults. The API server fills them in, and does so only for what is left out: a
// typed object would send empty resources.
func ensureMesh(ctx context.Context, c client.Client) error {
	m := &unstructured.Unstructured{}
	m.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Mesh"))
	m.SetName(v1alpha1.MeshName)
	if err := c.Create(ctx, m); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Mesh %s (are Leno's custom resource definitions installed?): %w", v1alpha1.MeshName, err)
	}
	return nil
}

func (r *meshReconciler) gather(ctx context.Context, m *v1alpha1.Mesh) (f Found, err error) {
	if f.MissingGateway, err = served.Missing(r.mapper, served.HTTPRoute); err != nil {
		return f, err
	}
	if f.MissingCertManager, err = served.Missing(r.mapper, served.Issuer, served.Certificate, served.CertificateRequest); err != nil {
		return f, err
	}
	if f.Webhook, err = r.webhook(ctx); err != nil {
		return f, err
	}
	if len(f.MissingCertManager) == 0 {
		f.Issuer, err = r.issuer(ctx, m)
	}
	return f, err
}

func (r *meshReconciler) webhook(ctx context.Context) (Webhook, error) {
	var found admissionv1.MutatingWebhookConfiguration
	if err := r.live.Get(ctx, client.ObjectKey{Name: WebhookName}, &found); err != nil {
		if apierrors.IsNotFound(err) {
			return Webhook{}, nil
		}
		return Webhook{}, fmt.Errorf("read MutatingWebhookConfiguration %s: %w", WebhookName, err)
	}
	untrusted := slices.ContainsFunc(found.Webhooks, func(w admissionv1.MutatingWebhook) bool { return len(w.ClientConfig.CABundle) == 0 })
	return Webhook{Exists: true, Trusted: !untrusted}, nil
}

func (r *meshReconciler) issuer(ctx context.Context, m *v1alpha1.Mesh) (Issuer, error) {
	settings, err := certificates.SettingsOf(ctx, r.client)
	if err != nil {
		return Issuer{}, err
	}
	out := Issuer{Kind: settings.Issuer.Kind, Name: settings.Issuer.Name}
	var status cmapi.IssuerStatus
	switch {
	case settings.Issuer.Group != "cert-manager.io":
		out.External = true
		return out, nil
	case settings.Issuer.Kind == cmapi.ClusterIssuerKind:
		var found cmapi.ClusterIssuer
		err = r.live.Get(ctx, client.ObjectKey{Name: settings.Issuer.Name}, &found)
		status = found.Status
	default:
		var found cmapi.Issuer
		err = r.live.Get(ctx, client.ObjectKey{Namespace: nouns.SystemNamespace, Name: settings.Issuer.Name}, &found)
		status = found.Status
	}
	if client.IgnoreNotFound(err) != nil {
		return out, fmt.Errorf("read %s %s of Mesh %s: %w", out.Kind, out.Name, m.Name, err)
	}
	out.Exists = err == nil
	for i, c := range status.Conditions {
		if c.Type == cmapi.IssuerConditionReady {
			out.Ready = &status.Conditions[i]
		}
	}
	if settings.Own {
		out.CA, err = r.ca(ctx)
		return out, err
	}
	return out, nil
}

// ca looks at the operator's own CA.
func (r *meshReconciler) ca(ctx context.Context) (*CA, error) {
	var cert cmapi.Certificate
	err := r.live.Get(ctx, client.ObjectKey{Namespace: nouns.SystemNamespace, Name: certificates.CACertificate}, &cert)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read Certificate %s: %w", certificates.CACertificate, err)
	}
	out := &CA{}
	for _, c := range cert.Status.Conditions {
		if c.Type == cmapi.CertificateConditionReady {
			out.Ready, out.Message = c.Status == cmmeta.ConditionTrue, c.Message
		}
	}
	if cert.Status.NotAfter != nil {
		out.NotAfter = cert.Status.NotAfter.Time
	}
	return out, nil
}
