package graph

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// standing is what there is of a gateway in the cluster.
type standing struct {
	// pending says what is still to come; nil: the gateway takes traffic.
	pending   *status.Problem
	addresses []status.Address
	// assigned is the condition about addresses; nil: nothing is known yet.
	assigned *status.Condition
}

// standing looks for the Service of a gateway and for proxies behind it.
func (g *gateways) standing(name mesh.Name, endpoints map[mesh.ServicePort][]mesh.Endpoint) standing {
	one := g.byName[name]
	resource := mesh.Name{Namespace: name.Namespace, Name: mesh.GatewayResource(name.Name)}
	service := g.snapshot.Services[resource]
	if service != nil {
		switch claim(service, one.object) {
		case mesh.ClaimForeign:
			return standing{pending: ptr(status.Why(status.ReasonNameTaken,
				"Service %s was not made by Leno for this Gateway, and is left alone: delete or rename it, or give the Gateway another name", resource))}
		case mesh.ClaimEarlier:
			service = nil // it goes with the Gateway of before
		case mesh.ClaimOwn:
		}
	}
	switch {
	case service == nil && one.held:
		return standing{pending: ptr(status.Why(status.ReasonPending, "Service %s is made when the Gateway is accepted", resource))}
	case service == nil:
		return standing{pending: ptr(status.Why(status.ReasonPending, "Service %s is being made", resource))}
	}
	found := one.assign(service)
	out := standing{addresses: found.addresses, assigned: ptr(found.assigned()), pending: found.pending(resource, service)}
	if out.pending == nil && !served(resource, service, endpoints) {
		out.pending = ptr(status.Why(status.ReasonPending, "no proxy of the gateway is ready yet: see Deployment %s and the Events of the Gateway", resource))
	}
	if !g.definitions.Has(status.FeatureAddressRoutability) {
		for i := range out.addresses {
			out.addresses[i].Routability = nil // the API server would drop it
		}
	}
	return out
}

// claim tells whether a Service was made for a Gateway.
func claim(service *corev1.Service, gateway *gatewayv1.Gateway) mesh.Claim {
	var owner *mesh.Owner
	if ref := metav1.GetControllerOfNoCopy(service); ref != nil {
		owner = &mesh.Owner{Kind: ref.Kind, Name: ref.Name, UID: string(ref.UID)}
	}
	return mesh.ClaimOf(gateway.Name, string(gateway.UID), service.Labels, owner)
}

// served tells whether there is a ready proxy behind each port.
func served(name mesh.Name, service *corev1.Service, endpoints map[mesh.ServicePort][]mesh.Endpoint) bool {
	for _, p := range service.Spec.Ports {
		list := endpoints[mesh.ServicePort{Name: name, Port: uint16(p.Port), UDP: p.Protocol == corev1.ProtocolUDP}]
		if !slices.ContainsFunc(list, func(e mesh.Endpoint) bool { return e.Ready }) {
			return false
		}
	}
	return len(service.Spec.Ports) > 0
}
