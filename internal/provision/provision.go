// Package provision says what a Gateway runs on: the objects of the cluster that are made for it. It is a function of its arguments;
// controllers/gateways applies what it says.
package provision

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Object is what is made.
type Object interface {
	metav1.Object
	runtime.Object
}

// Objects are what a Gateway needs, in the order in which they are best made: pods need their account. All belong to the Gateway. The
// resources of the settings are those of sidecars and do not count here. Where a HorizontalPodAutoscaler scales the Deployment, the number
// of replicas is left to it.
func Objects(g *mesh.Gateway, s inject.Settings, autoscaled bool) []Object {
	out := []Object{serviceAccount(g), deployment(g, s, autoscaled), disruptionBudget(g)}
	// A Service has at least one port. While a Gateway has none, what was made stays: with it would go the address, which the Gateway may
	// not get again.
	if len(g.Ports) > 0 {
		out = append(out, service(g))
	}
	return out
}

// Names are the names of all objects that a Gateway of a name may have.
func Names(gateway mesh.Name) []*metav1.PartialObjectMetadata {
	var out []*metav1.PartialObjectMetadata
	for _, kind := range []metav1.TypeMeta{typeService, typeDisruptionBudget, typeDeployment, typeServiceAccount} {
		out = append(out, &metav1.PartialObjectMetadata{
			TypeMeta: kind, ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: mesh.GatewayResource(gateway.Name)},
		})
	}
	return out
}

// The kinds of what is made.
var (
	typeServiceAccount   = metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}
	typeDeployment       = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
	typeDisruptionBudget = metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}
	typeService          = metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}
)

// Same tells whether two states of a Gateway run on the same objects, as they do when only its routes changed.
func Same(a, b *mesh.Gateway) bool {
	return a == b || a.Name == b.Name && a.ServiceAccount == b.ServiceAccount && reflect.DeepEqual(a.Infrastructure, b.Infrastructure) &&
		reflect.DeepEqual(servicePorts(a.Ports), servicePorts(b.Ports))
}

// meta is the metadata that all have. What the Gateway's owner wants does not replace what makes them the Gateway's.
func meta(g *mesh.Gateway) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: g.Namespace, Name: mesh.GatewayResource(g.Name.Name),
		Labels: labels(g, nil), Annotations: maps.Clone(g.Infrastructure.Annotations),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: gatewayv1.GroupVersion.String(), Kind: "Gateway", Name: g.Name.Name, UID: types.UID(g.Infrastructure.UID),
			// Not blockOwnerDeletion: clusters may ask for rights on the Gateway's finalizers then.
			Controller: new(true), BlockOwnerDeletion: new(false),
		}},
	}
}

// labels are those of everything that is made: extra ones win over those of spec.infrastructure, and ours over both.
func labels(g *mesh.Gateway, extra map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, g.Infrastructure.Labels)
	maps.Copy(out, extra)
	maps.Copy(out, selector(g))
	out[mesh.LabelGatewayClass] = mesh.GatewayLabel(g.Infrastructure.Class)
	out[mesh.LabelManagedBy] = mesh.ManagedBy
	return out
}

// selector finds the pods of a Gateway that Leno made, not those that another implementation made for it before its class changed.
func selector(g *mesh.Gateway) map[string]string {
	return map[string]string{mesh.LabelApp: mesh.GatewayApp, mesh.LabelGatewayName: mesh.GatewayLabel(g.Name.Name)}
}

// serviceAccount has no token mounted: proxies do not talk to the API server, and the token for the control plane is mounted by itself.
func serviceAccount(g *mesh.Gateway) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{TypeMeta: typeServiceAccount, ObjectMeta: meta(g), AutomountServiceAccountToken: new(false)}
}
