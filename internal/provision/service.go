package provision

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leno-mesh/leno/internal/mesh"
)

// service is how a Gateway is reached. What is not said here is left to others, so that they may for example set externalTrafficPolicy or
// loadBalancerSourceRanges.
func service(g *mesh.Gateway) *corev1.Service {
	p := g.Infrastructure.Parameters
	kind := corev1.ServiceType(cmp.Or(p.ServiceType, string(corev1.ServiceTypeLoadBalancer)))
	if g.Infrastructure.ClusterOnly {
		kind = corev1.ServiceTypeClusterIP
	}
	out := &corev1.Service{
		TypeMeta: typeService, ObjectMeta: meta(g),
		Spec: corev1.ServiceSpec{
			Type: kind, Selector: selector(g), IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack), Ports: servicePorts(g.Ports),
		},
	}
	out.Labels = labels(g, p.ServiceLabels)
	if len(p.ServiceAnnotations) > 0 {
		out.Annotations = map[string]string{}
		maps.Copy(out.Annotations, g.Infrastructure.Annotations)
		maps.Copy(out.Annotations, p.ServiceAnnotations)
	}
	if a := g.Infrastructure.Addresses; len(a) > 0 && kind == corev1.ServiceTypeLoadBalancer {
		// Deprecated, and still the one field that load balancers have in common. It takes one address: that others are not to be had
		// shows in the Gateway's status.
		out.Spec.LoadBalancerIP = a[0].String()
	}
	if a := g.Infrastructure.ClusterAddresses; len(a) > 0 {
		out.Spec.ClusterIP = a[0].String() // the API server wants the first one in both fields
		for _, addr := range a {
			out.Spec.ClusterIPs = append(out.Spec.ClusterIPs, addr.String())
		}
	}
	return out
}

// servicePorts are the gateway's ports under the same numbers. Names depend on nothing but number and protocol, so that a port stays
// the same port whatever happens to the others.
func servicePorts(ports []mesh.GatewayPort) []corev1.ServicePort {
	var out []corev1.ServicePort
	for _, p := range ports {
		protocol := corev1.ProtocolTCP
		if p.UDP {
			protocol = corev1.ProtocolUDP
		}
		out = append(out, corev1.ServicePort{
			Name: portName(p), Port: int32(p.Number), TargetPort: intstr.FromInt32(int32(p.Number)), Protocol: protocol,
		})
	}
	return out
}

// portName says nothing of the protocol inside: what a name begins with would be taken for a declaration.
func portName(p mesh.GatewayPort) string {
	if p.UDP {
		return "port-" + strconv.Itoa(int(p.Number)) + "-udp"
	}
	return fmt.Sprintf("port-%d", p.Number)
}
