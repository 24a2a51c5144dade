package gateways

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// put applies an object. A Service may ask for ClusterIPs that it cannot have (outside of the range, taken): everything else of it is
// made as it should be then, and the error says so.
func (k *Keeper) put(ctx context.Context, u *unstructured.Unstructured) error {
	unplaced := k.makeRoom(ctx, u)
	err := k.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(fieldManager), client.ForceOwnership)
	if apierrors.IsInvalid(err) && len(clusterIPs(u)) > 0 {
		forgetClusterIPs(u)
		unplaced = errors.Join(unplaced, err)
		err = k.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(fieldManager), client.ForceOwnership)
	}
	return errors.Join(unplaced, err)
}

// makeRoom deletes a Service that has other ClusterIPs than it is to have, since they cannot be changed: what is applied makes it again.
// But it keeps those that it has where the others cannot be had.
func (k *Keeper) makeRoom(ctx context.Context, u *unstructured.Unstructured) error {
	wanted := clusterIPs(u)
	if len(wanted) == 0 {
		return nil
	}
	var there corev1.Service
	switch err := k.live.Get(ctx, client.ObjectKeyFromObject(u), &there); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read Service %s: %w", u.GetName(), err)
	}
	if !slices.ContainsFunc(wanted, func(ip string) bool { return !slices.Contains(there.Spec.ClusterIPs, ip) }) {
		return nil
	}
	if err := k.available(ctx, u, wanted); err != nil {
		forgetClusterIPs(u)
		return fmt.Errorf("ask for ClusterIPs %v: %w", wanted, err)
	}
	if err := k.client.Delete(ctx, &there, client.Preconditions{UID: &there.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Service %s, whose ClusterIPs cannot be changed: %w", there.Name, err)
	}
	return nil
}

// available asks whether a Service could have ClusterIPs. A dry run knows the range, but not who has them.
func (k *Keeper) available(ctx context.Context, u *unstructured.Unstructured, wanted []string) error {
	var all corev1.ServiceList
	if err := k.client.List(ctx, &all); err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	for i := range all.Items {
		other := &all.Items[i]
		own := other.Namespace == u.GetNamespace() && other.Name == u.GetName()
		if !own && slices.ContainsFunc(other.Spec.ClusterIPs, func(ip string) bool { return slices.Contains(wanted, ip) }) {
			return fmt.Errorf("Service %s/%s has them", other.Namespace, other.Name)
		}
	}
	return k.client.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), GenerateName: "leno-address-"},
		Spec: corev1.ServiceSpec{
			ClusterIP: wanted[0], ClusterIPs: wanted, IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, client.DryRunAll)
}

// clusterIPs are those that a Service asks for; none for all other objects.
func clusterIPs(u *unstructured.Unstructured) []string {
	list, _, err := unstructured.NestedStringSlice(u.Object, "spec", "clusterIPs")
	if err != nil || u.GetKind() != "Service" {
		return nil
	}
	return list
}

func forgetClusterIPs(u *unstructured.Unstructured) {
	unstructured.RemoveNestedField(u.Object, "spec", "clusterIP")
	unstructured.RemoveNestedField(u.Object, "spec", "clusterIPs")
}
