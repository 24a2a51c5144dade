package gateways

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/provision"
)

// replicasManager owns the number of replicas from when Leno has no say in it any more to when somebody else scales.
const replicasManager = "leno-gateways-replicas"

// handOver keeps the number of replicas of a Deployment when it is about to be left to others. A field that its last manager takes
// back gets its default, and the Deployment would shrink to one pod.
func (k *Keeper) handOver(ctx context.Context, have *metav1.PartialObjectMetadata, next provision.Object) error {
	d, ok := next.(*appsv1.Deployment)
	if !ok || d.Spec.Replicas != nil || !saysReplicas(have) {
		return nil
	}
	var now appsv1.Deployment
	if err := k.Live.Get(ctx, client.ObjectKeyFromObject(have), &now); err != nil {
		return err
	}
	if now.Spec.Replicas == nil {
		return nil
	}
	same := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(*now.Spec.Replicas)}}}
	same.SetGroupVersionKind(have.GroupVersionKind())
	same.SetNamespace(have.Namespace)
	same.SetName(have.Name)
	same.SetUID(have.UID)
	// Not by force: somebody who has scaled in between owns it already, or is told again.
	return k.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(same), client.FieldOwner(replicasManager))
}

// saysReplicas tells whether the number of replicas is ours by what we applied before.
func saysReplicas(have *metav1.PartialObjectMetadata) bool {
	for _, entry := range have.ManagedFields {
		if entry.Manager == fieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.FieldsV1 != nil &&
			strings.Contains(entry.FieldsV1.GetRawString(), `"f:replicas"`) {
			return true
		}
	}
	return false
}
