package gateways

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// place applies an object. A Service may ask for ClusterIPs that it cannot have (outside of the range, taken): everything else of it is
// made as it should be then, and the problem says so.
func (k *Keeper) place(ctx context.Context, said *unstructured.Unstructured) error {
	unplaced := k.makeRoom(ctx, said)
	if unplaced != nil && !errors.As(unplaced, new(problem)) {
		return unplaced
	}
	err := k.put(ctx, said)
	if wanted := clusterIPs(said); apierrors.IsInvalid(err) && len(wanted) > 0 {
		unplaced = cannotHave(said, wanted, answer(err))
		forgetClusterIPs(said)
		err = k.put(ctx, said)
	}
	if err != nil {
		return err
	}
	return unplaced
}

func (k *Keeper) put(ctx context.Context, said *unstructured.Unstructured) error {
	return k.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(said), client.FieldOwner(fieldManager), client.ForceOwnership)
}

// makeRoom deletes a Service that has other ClusterIPs than it is to have, since they cannot be changed: what is applied makes it again.
// But it keeps those that it has, and returns a problem, where the others cannot be had.
func (k *Keeper) makeRoom(ctx context.Context, said *unstructured.Unstructured) error {
	wanted := clusterIPs(said)
	if len(wanted) == 0 || said.GetUID() == "" {
		return nil // nothing is asked for, or nothing is there
	}
	var there corev1.Service
	if err := k.Live.Get(ctx, client.ObjectKeyFromObject(said), &there); err != nil {
		return fmt.Errorf("read Service %s: %w", said.GetName(), err)
	}
	if !slices.ContainsFunc(wanted, func(ip string) bool { return !slices.Contains(there.Spec.ClusterIPs, ip) }) {
		return nil
	}
	if err := k.available(ctx, said, wanted); err != nil {
		forgetClusterIPs(said)
		return err
	}
	if err := k.Client.Delete(ctx, &there, client.Preconditions{UID: new(said.GetUID())}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Service %s, whose ClusterIPs cannot be changed: %w", there.Name, err)
	}
	if len(there.Finalizers) > 0 {
		return fmt.Errorf("make Service %s again with ClusterIPs %v: waiting until its finalizers %v let it go", there.Name, wanted, there.Finalizers)
	}
	said.SetUID("")
	return nil
}

// available is nil where a Service could have ClusterIPs, and a problem where it cannot. A dry run knows the range, but not who has them.
func (k *Keeper) available(ctx context.Context, said *unstructured.Unstructured, wanted []string) error {
	var all corev1.ServiceList
	if err := k.Client.List(ctx, &all); err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	for i := range all.Items {
		other := &all.Items[i]
		own := other.Namespace == said.GetNamespace() && other.Name == said.GetName()
		if !own && slices.ContainsFunc(other.Spec.ClusterIPs, func(ip string) bool { return slices.Contains(wanted, ip) }) {
			return cannotHave(said, wanted, fmt.Sprintf("they belong to Service %s/%s", other.Namespace, other.Name))
		}
	}
	err := k.Client.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: said.GetNamespace(), GenerateName: "leno-address-"},
		Spec: corev1.ServiceSpec{
			ClusterIP: wanted[0], ClusterIPs: wanted, IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, client.DryRunAll)
	switch {
	case refused(err):
		return cannotHave(said, wanted, answer(err))
	case err != nil:
		return fmt.Errorf("ask for ClusterIPs %v: %w", wanted, err)
	}
	return nil
}

func cannotHave(said *unstructured.Unstructured, wanted []string, why string) problem {
	return problem{reasonNotAssigned, fmt.Sprintf(
		"Service %s/%s cannot have ClusterIPs %v, and has others: %s: ask for addresses in the cluster's range for Services that nobody else has",
		said.GetNamespace(), said.GetName(), wanted, why)}
}

// answer is what the API server has against an object, without the object's name, which a dry run makes up.
func answer(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err.Error()
	}
	var all []string
	for _, cause := range status.Status().Details.Causes {
		all = append(all, cause.Field+": "+cause.Message)
	}
	return strings.Join(all, "; ")
}

// clusterIPs are those that a Service asks for; none for all other objects.
func clusterIPs(said *unstructured.Unstructured) []string {
	list, _, err := unstructured.NestedStringSlice(said.Object, "spec", "clusterIPs")
	if err != nil || said.GetKind() != "Service" {
		return nil
	}
	return list
}

func forgetClusterIPs(said *unstructured.Unstructured) {
	unstructured.RemoveNestedField(said.Object, "spec", "clusterIP")
	unstructured.RemoveNestedField(said.Object, "spec", "clusterIPs")
}
