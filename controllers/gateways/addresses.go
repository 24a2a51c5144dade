package gateways

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// place sees to the ClusterIPs that a Service is to have. They cannot be changed: a Service that has others is deleted, to be made
// again by what is applied. But only where the API server would give it the ones that are asked for; where it would not (outside of
// the range, taken), they are taken out of what is applied, so that everything else of the Service is as it should be, and the error
// says so.
func (k *Keeper) place(ctx context.Context, service *corev1.Service, applied *unstructured.Unstructured) error {
	wanted := service.Spec.ClusterIPs
	if len(wanted) == 0 {
		return nil
	}
	var there corev1.Service
	err := k.live.Get(ctx, client.ObjectKeyFromObject(service), &there)
	found := err == nil
	switch {
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("read Service %s: %w", service.Name, err)
	case found && !slices.ContainsFunc(wanted, func(ip string) bool { return !slices.Contains(there.Spec.ClusterIPs, ip) }):
		return nil
	}
	if err := k.client.Create(ctx, probe(service), client.DryRunAll); err != nil {
		unstructured.RemoveNestedField(applied.Object, "spec", "clusterIP")
		unstructured.RemoveNestedField(applied.Object, "spec", "clusterIPs")
		return fmt.Errorf("ask for ClusterIPs %v: %w", wanted, err)
	}
	if !found {
		return nil
	}
	if err := k.client.Delete(ctx, &there, client.Preconditions{UID: &there.UID}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Service %s, whose ClusterIPs cannot be changed: %w", service.Name, err)
	}
	return nil
}

// probe is a Service that asks for the same ClusterIPs under another name.
func probe(service *corev1.Service) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, GenerateName: "leno-address-", Labels: service.Labels},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: service.Spec.ClusterIP, ClusterIPs: service.Spec.ClusterIPs,
			IPFamilyPolicy: service.Spec.IPFamilyPolicy, Ports: service.Spec.Ports,
		},
	}
}
