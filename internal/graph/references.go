package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// references follows references.
type references struct {
	services map[mesh.Name]*corev1.Service
	// grants lists the ReferenceGrants by their namespace, which is the one that they open.
	grants     map[string][]*gatewayv1.ReferenceGrant
	secrets    map[mesh.Name]*corev1.Secret
	configMaps map[mesh.Name]*corev1.ConfigMap
	parameters map[mesh.Name]*v1alpha1.GatewayParameters
	// trustBundles are empty, too, in a cluster that does not serve them.
	trustBundles      map[mesh.Name]*certificatesv1.ClusterTrustBundle
	trustBundlesThere bool
	// tls are the policies that say how gateways speak TLS.
	tls *tlsPolicies
	// xbackends are destinations that are no Services.
	xbackends map[mesh.Name]*xbackend
}

func newReferences(s *snapshot.Snapshot) *references {
	refs := &references{
		services: s.Services, secrets: s.Secrets, configMaps: s.ConfigMaps, parameters: s.GatewayParameters, grants: map[string][]*gatewayv1.ReferenceGrant{},
		trustBundles: s.TrustBundles, trustBundlesThere: s.Serves(snapshot.TrustBundleDefinition),
	}
	for name, grant := range s.ReferenceGrants {
		refs.grants[name.Namespace] = append(refs.grants[name.Namespace], grant)
	}
	return refs
}

// backend finds the Service port that a route refers to. The name is filled in as far as it is known also when the
// reference is wrong.
//
// A reference into another namespace needs no grant in a consumer route: it moves only the requests of the route's own
// namespace, and those could go to the other namespace by themselves (GEP-1294, "Namespace boundaries"). It needs a
// ReferenceGrant in a producer route, which moves the requests of everybody's clients, under their identity, to where those
// did not ask to go, and in a route of a gateway.
func (r *references) backend(ref gatewayv1.BackendObjectReference, by from) (mesh.ServicePort, *status.Problem) {
	to := mesh.ServicePort{Name: mesh.Name{Namespace: by.namespace, Name: string(ref.Name)}, UDP: by.udp()}
	if ref.Namespace != nil {
		to.Namespace = string(*ref.Namespace)
	}
	if deref(ref.Group) == xv1alpha1.GroupName && deref(ref.Kind) == "XBackend" {
		return r.xbackend(ref, to.Name, by)
	}
	number := 0
	if ref.Port != nil {
		number = int(*ref.Port)
	}
	if 0 < number && number <= 65535 {
		to.Port = uint16(number)
	}
	if ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != "Service" {
		return to, ptr(status.BackendKind(deref(ref.Group), cmp.Or(deref(ref.Kind), "Service"), string(ref.Name)))
	}
	if to.Namespace != by.namespace && by.as != roleConsumer && !r.granted(by.kind, by.namespace, "", "Service", to.Name) {
		return to, ptr(status.BackendForbidden(to.Name, by.kind, by.namespace))
	}
	svc := r.services[to.Name]
	switch {
	case svc == nil:
		return to, ptr(status.BackendMissing(to.Name))
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return to, ptr(status.BackendExternalName(to.Name))
	case number == 0:
		return to, ptr(status.BackendPortUnset(to.Name))
	}
	return to, r.backendPort(svc, to, number, by)
}

func (r *references) backendPort(svc *corev1.Service, to mesh.ServicePort, number int, by from) *status.Problem {
	other := ""
	for _, port := range svc.Spec.Ports {
		if int(port.Port) != number {
			continue
		}
		if isTCP(port.Protocol) == by.udp() || !isTCP(port.Protocol) && port.Protocol != corev1.ProtocolUDP {
			other = cmp.Or(string(port.Protocol), "TCP")
			continue
		}
		if declared := appProtocol(port); by.http() && (declared == mesh.ProtocolTCP || declared == mesh.ProtocolTLS && (by.as != roleGateway || !r.tls.covers(to.Name, port.Name))) {
			return ptr(status.BackendProtocol(to.Name, number, *port.AppProtocol, by.kind))
		}
		return nil
	}
	if other != "" {
		return ptr(status.BackendProtocol(to.Name, number, other, by.kind))
	}
	return ptr(status.BackendPortMissing(to.Name, number, portList(svc, by.udp())))
}

// granted tells whether a ReferenceGrant lets objects of a kind of the Gateway API in a namespace refer to an object.
func (r *references) granted(kind, namespace, toGroup, toKind string, to mesh.Name) bool {
	return slices.ContainsFunc(r.grants[to.Namespace], func(grant *gatewayv1.ReferenceGrant) bool {
		from := slices.ContainsFunc(grant.Spec.From, func(f gatewayv1.ReferenceGrantFrom) bool {
			return f.Group == gatewayv1.GroupName && string(f.Kind) == kind && string(f.Namespace) == namespace
		})
		return from && slices.ContainsFunc(grant.Spec.To, func(t gatewayv1.ReferenceGrantTo) bool {
			return string(t.Group) == toGroup && string(t.Kind) == toKind && (t.Name == nil || *t.Name == "" || string(*t.Name) == to.Name)
		})
	})
}

// from is who refers to something.
type from struct {
	kind      string
	namespace string
	as        role
}

func (f from) udp() bool { return f.kind == "UDPRoute" }
func (f from) http() bool {
	return slices.Contains([]string{"HTTPRoute", "GRPCRoute", "Gateway", "ListenerSet"}, f.kind)
}

// portList is the TCP, or UDP, ports of a Service for messages, like "80 (http), 8080".
func portList(svc *corev1.Service, udp bool) string {
	var out []string
	for _, p := range svc.Spec.Ports {
		if isTCP(p.Protocol) == udp {
			continue
		}
		out = append(out, portLabel(uint16(p.Port), p.Name))
	}
	return strings.Join(out, ", ")
}

func portLabel(number uint16, name string) string {
	if name == "" {
		return fmt.Sprint(number)
	}
	return fmt.Sprintf("%d (%s)", number, name)
}

func ptr[T any](v T) *T { return &v }

func deref[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}
