package certificates

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
)

//+kubebuilder:rbac:groups="",resources=configmaps,resourceNames=leno-trust-bundle,verbs=get;list;watch;update;patch
//+kubebuilder:rbac:groups="",resources=configmaps,verbs=create

// spreader copies the trust bundle into every namespace that has proxies, or may have injected pods: they cannot start without.
// It runs on the leader.
type spreader struct {
	client client.Client
}

// Reconcile brings one namespace up to date. Copies in namespaces that left the mesh stay: pods may still use them.
func (s *spreader) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	wanted, err := s.wanted(ctx, req.Name)
	if err != nil || !wanted {
		return ctrl.Result{}, err
	}
	var bundle, have corev1.ConfigMap
	if err := s.client.Get(ctx, own(mesh.TrustBundleName), &bundle); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	want := corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: req.Name, Name: mesh.TrustBundleName, Labels: withLabel(nil)},
		Data:       bundle.Data,
	}
	err = s.client.Get(ctx, client.ObjectKeyFromObject(&want), &have)
	switch {
	case apierrors.IsNotFound(err):
		err = s.client.Create(ctx, &want)
	case err == nil && (have.Data[mesh.TrustKey] != want.Data[mesh.TrustKey] || len(have.Data) != len(want.Data)):
		have.Data = want.Data
		err = s.client.Update(ctx, &have)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("trust bundle of namespace %s: %w", req.Name, err)
	}
	return ctrl.Result{}, nil
}

// wanted tells whether pods of a namespace need the bundle.
func (s *spreader) wanted(ctx context.Context, name string) (bool, error) {
	if name == mesh.SystemNamespace {
		return false, nil // its bundle is the one that is copied
	}
	var ns corev1.Namespace
	if err := s.client.Get(ctx, client.ObjectKey{Name: name}, &ns); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if ns.DeletionTimestamp != nil {
		return false, nil
	}
	if ns.Labels[mesh.LabelInject] == inject.Enabled && !slices.Contains(inject.ProtectedNamespaces, name) {
		return true, nil
	}
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(name)); err != nil {
		return false, fmt.Errorf("list pods of namespace %s: %w", name, err)
	}
	return slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return needsBundle(&p) }), nil
}

// needsBundle tells whether a pod has a sidecar, or is the proxy of a gateway.
func needsBundle(o client.Object) bool {
	return o.GetAnnotations()[mesh.AnnotationInjected] != "" || o.GetAnnotations()[mesh.AnnotationGateway] != ""
}
