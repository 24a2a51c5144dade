package gateways

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/provision"
)

// fieldManager owns the fields that are said, and no others: what somebody else adds to an object stays.
const fieldManager = "leno-gateways"

// bring makes everything of one Gateway as it should be. again says when to look once more, 0: when something changes.
func (k *Keeper) bring(ctx context.Context, name mesh.Name) (again time.Duration, err error) {
	want := k.want(name)
	switch {
	case want == nil:
		return k.withdraw(ctx, name)
	case want.Infrastructure.Held:
		k.settle(name)
		return 0, nil // its status says what is missing
	}
	err = k.provision(ctx, want)
	var p problem
	switch {
	case errors.As(err, &p):
		k.tell(ctx, want, p)
		return retryProblem, nil
	case err == nil:
		k.settle(name)
	}
	return 0, err
}

// provision applies all objects of a Gateway. A problem with one is no reason to leave the others as they are, but pods do not run as
// somebody else's account. Of several problems the first is told.
func (k *Keeper) provision(ctx context.Context, want *mesh.Gateway) error {
	// Not the defaults when there is no Mesh: they would replace the pods of all Gateways, and the Mesh comes back.
	var settings v1alpha1.Mesh
	if err := k.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.MeshName}, &settings); err != nil {
		return fmt.Errorf("read Mesh %s: %w", v1alpha1.MeshName, err)
	}
	autoscaled, err := k.autoscaled(ctx, want)
	if err != nil {
		return err
	}
	var first error
	for _, object := range provision.Objects(want, inject.FromMesh(&settings), autoscaled) {
		err := k.apply(ctx, want, object)
		_, account := object.(*corev1.ServiceAccount)
		if err != nil && (account || !errors.As(err, new(problem))) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// autoscaled tells whether a HorizontalPodAutoscaler scales the Gateway's Deployment.
func (k *Keeper) autoscaled(ctx context.Context, want *mesh.Gateway) (bool, error) {
	var list autoscalingv2.HorizontalPodAutoscalerList
	if err := k.Client.List(ctx, &list, client.InNamespace(want.Namespace)); err != nil {
		return false, fmt.Errorf("list HorizontalPodAutoscalers of namespace %s: %w", want.Namespace, err)
	}
	return slices.ContainsFunc(list.Items, func(h autoscalingv2.HorizontalPodAutoscaler) bool { return scales(&h, want) }), nil
}

func scales(h *autoscalingv2.HorizontalPodAutoscaler, want *mesh.Gateway) bool {
	to := h.Spec.ScaleTargetRef
	return h.Namespace == want.Namespace && to.Kind == "Deployment" && strings.HasPrefix(to.APIVersion, "apps/") &&
		to.Name == mesh.GatewayResource(want.Name.Name)
}

// apply brings one object up to date, unless it is somebody else's.
func (k *Keeper) apply(ctx context.Context, want *mesh.Gateway, object provision.Object) error {
	kind := object.GetObjectKind().GroupVersionKind()
	noun := fmt.Sprintf("%s %s/%s", kind.Kind, object.GetNamespace(), object.GetName())
	have := &metav1.PartialObjectMetadata{}
	have.SetGroupVersionKind(kind)
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: object.GetNamespace(), Name: object.GetName()}, have)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read %s: %w", noun, err)
	}
	if err == nil {
		if err := ours(have, want, noun); err != nil {
			return err
		}
		if err := k.handOver(ctx, have, object); err != nil {
			return fmt.Errorf("hand over the replicas of %s: %w", noun, err)
		}
	}
	said, err := fields(object)
	if err != nil {
		return fmt.Errorf("write %s: %w", noun, err)
	}
	said.SetUID(have.UID) // this object and no other that may have taken its place
	err = k.place(ctx, said)
	switch {
	case err == nil, apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case refused(err):
		return problem{reasonRefused, fmt.Sprintf("the API server refuses %s: %v", noun, err)}
	}
	return fmt.Errorf("apply %s: %w", noun, err)
}

// refused tells an error that lasts until somebody changes something.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)
}

// fields are what is said of an object. Its type has a status, of which nothing is said.
func fields(object provision.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}, nil
}

// ours is nil for an object that was made for the Gateway, a problem for one of somebody else, and another error for one that will be
// gone soon.
func ours(have *metav1.PartialObjectMetadata, want *mesh.Gateway, noun string) error {
	switch claim(have, want) {
	case mesh.ClaimOwn:
		return nil
	case mesh.ClaimEarlier:
		return fmt.Errorf("%s belongs to an earlier Gateway of the same name: waiting for the cluster to collect it", noun)
	case mesh.ClaimForeign:
	}
	return problem{reasonNameTaken, fmt.Sprintf(
		"%s exists and was not made by Leno for this Gateway: it is left alone. Delete or rename it, or give the Gateway another name", noun)}
}

func claim(have metav1.Object, want *mesh.Gateway) mesh.Claim {
	return mesh.ClaimOf(want.Name.Name, want.Infrastructure.UID, have.GetLabels(), ownerOf(have))
}

// ownerOf is the controller of an object; nil: it has none.
func ownerOf(o metav1.Object) *mesh.Owner {
	ref := metav1.GetControllerOfNoCopy(o)
	if ref == nil {
		return nil
	}
	return &mesh.Owner{Kind: ref.Kind, Name: ref.Name, UID: string(ref.UID)}
}
