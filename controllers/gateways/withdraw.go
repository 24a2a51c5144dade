package gateways

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/provision"
	"github.com/leno-mesh/leno/internal/status"
)

// withdraw removes what was made for a Gateway that is not wanted, if it belongs to another controller now. It asks the API server
// itself: what the replica knows may be incomplete, and a mistake would be an outage.
func (k *Keeper) withdraw(ctx context.Context, name mesh.Name) (again time.Duration, err error) {
	k.settle(name)
	var g gatewayv1.Gateway
	err = k.Live.Get(ctx, client.ObjectKey{Namespace: name.Namespace, Name: name.Name}, &g)
	if gone(err) {
		return 0, nil // its objects go with it
	}
	if err != nil {
		return 0, fmt.Errorf("read Gateway %s: %w", name, err)
	}
	var class gatewayv1.GatewayClass
	err = k.Live.Get(ctx, client.ObjectKey{Name: string(g.Spec.GatewayClassName)}, &class)
	if gone(err) {
		return retryProblem, nil // nobody's, and perhaps soon ours again
	}
	if err != nil {
		return 0, fmt.Errorf("read GatewayClass %s: %w", g.Spec.GatewayClassName, err)
	}
	if class.Spec.ControllerName == status.ControllerName {
		return 0, nil // ours, and not known here yet
	}
	removed := false
	for _, object := range provision.Names(name) {
		one, err := k.remove(ctx, &g, object)
		if err != nil {
			return 0, err
		}
		removed = removed || one
	}
	if removed {
		k.Events.Eventf(eventObject(name, string(g.UID)), nil, corev1.EventTypeNormal, reasonWithdrawn, "Withdraw",
			"GatewayClass %s belongs to %s: what Leno had made for the Gateway was removed", class.Name, class.Spec.ControllerName)
	}
	return 0, nil
}

// remove deletes an object of a Gateway, and nothing that somebody else made. It tells whether it did.
func (k *Keeper) remove(ctx context.Context, g *gatewayv1.Gateway, object *metav1.PartialObjectMetadata) (bool, error) {
	noun := fmt.Sprintf("%s %s/%s", object.Kind, object.Namespace, object.Name)
	if err := k.Live.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("read %s: %w", noun, err)
	}
	// Without its labels it may be what the other controller made for the Gateway.
	if !metav1.IsControlledBy(object, g) || !made(object) || object.DeletionTimestamp != nil {
		return false, nil
	}
	err := k.Client.Delete(ctx, object, client.Preconditions{UID: &object.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("delete %s: %w", noun, err)
	}
	return true, nil
}

// made tells whether Leno made an object for some Gateway.
func made(o metav1.Object) bool {
	labels := o.GetLabels()
	return labels[mesh.LabelManagedBy] == mesh.ManagedBy && labels[mesh.LabelGatewayName] != ""
}

// gone tells that an object is not there, or not even its kind.
func gone(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
