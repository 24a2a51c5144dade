package local

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// Gateway is one Gateway, with its one proxy and the address at which clients find it.
type Gateway struct {
	mesh.Name
	Pod *Pod
	IP  netip.Addr
	// Ports are those of its listeners and of its ListenerSets', ascending, TCP before UDP.
	Ports []GatewayPort

	object *gatewayv1.Gateway
}

// GatewayPort is one port of a Gateway, with the protocol of the first listener that asks for it.
type GatewayPort struct {
	Number   uint16
	Protocol gatewayv1.ProtocolType
}

func (p GatewayPort) transport() corev1.Protocol {
	if p.Protocol == gatewayv1.UDPProtocolType {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// withClass adds the GatewayClass that the operator creates, where the manifests have none of that name.
func withClass(objects []snapshot.Object) []snapshot.Object {
	for _, o := range objects {
		if class, ok := o.(*gatewayv1.GatewayClass); ok && class.Name == mesh.GatewayClass {
			return objects
		}
	}
	return append(objects, &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: mesh.GatewayClass}, Spec: gatewayv1.GatewayClassSpec{ControllerName: status.ControllerName},
	})
}

// planGateways gives each Gateway of a class of Leno's what the operator would.
func planGateways(objects []snapshot.Object, addresses *allocator) []*Gateway {
	ours := map[gatewayv1.ObjectName]bool{}
	var gateways []*Gateway
	for _, o := range objects {
		if class, ok := o.(*gatewayv1.GatewayClass); ok && class.Spec.ControllerName == status.ControllerName {
			ours[gatewayv1.ObjectName(class.Name)] = true
		}
	}
	for _, o := range objects {
		if g, ok := o.(*gatewayv1.Gateway); ok && ours[g.Spec.GatewayClassName] {
			gateways = append(gateways, &Gateway{Name: nameOf(g), Ports: gatewayPorts(g, objects), object: g})
		}
	}
	slices.SortFunc(gateways, func(a, b *Gateway) int { return compareNames(a.Name, b.Name) })
	for _, g := range gateways {
		g.IP = addresses.next(serviceRange, "gateway "+g.String())
		resource := mesh.GatewayResource(g.Name.Name)
		g.Pod = newPod(mesh.Name{Namespace: g.Namespace, Name: resource + "-0"}, addresses, func(p *Pod) {
			p.Gateway, p.Owner, p.ServiceAccount = g, resource, mesh.GatewayServiceAccount(g.Name.Name)
			p.Labels = map[string]string{mesh.LabelGatewayName: mesh.GatewayLabel(g.Name.Name)}
			p.template.Annotations = map[string]string{mesh.AnnotationGateway: g.Name.Name}
		})
	}
	return gateways
}

func gatewayPorts(g *gatewayv1.Gateway, objects []snapshot.Object) []GatewayPort {
	var ports []GatewayPort
	add := func(number gatewayv1.PortNumber, protocol gatewayv1.ProtocolType) {
		ports = append(ports, GatewayPort{uint16(number), protocol})
	}
	for _, l := range g.Spec.Listeners {
		add(l.Port, l.Protocol)
	}
	for _, o := range objects {
		set, ok := o.(*gatewayv1.ListenerSet)
		if !ok || string(set.Spec.ParentRef.Name) != g.Name || cmp.Or(value(set.Spec.ParentRef.Namespace), set.Namespace) != g.Namespace {
			continue
		}
		for _, l := range set.Spec.Listeners {
			add(l.Port, l.Protocol)
		}
	}
	slices.SortStableFunc(ports, func(a, b GatewayPort) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.transport(), b.transport()))
	})
	return slices.CompactFunc(ports, func(a, b GatewayPort) bool { return a.Number == b.Number && a.transport() == b.transport() })
}

func value(namespace *gatewayv1.Namespace) string {
	if namespace == nil {
		return ""
	}
	return string(*namespace)
}

// Address is where a client finds a port.
func (g *Gateway) Address(p GatewayPort, options Options) netip.AddrPort {
	return options.served(netip.AddrPortFrom(g.IP, p.Number))
}

// objects are the Service of the Gateway, which has got its address, and what is known of the proxy behind it.
func (g *Gateway) objects(running []Running) []snapshot.Object {
	name := mesh.GatewayResource(g.Name.Name)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: name, Labels: map[string]string{
			mesh.LabelManagedBy: mesh.ManagedBy, mesh.LabelGatewayName: mesh.GatewayLabel(g.Name.Name),
		}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: g.IP.String(), ClusterIPs: []string{g.IP.String()}, Selector: g.Pod.Labels,
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: g.IP.String()}}}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: g.Namespace, Name: name + "-0", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range g.Ports {
		portName, number, transport := fmt.Sprintf("%d-%s", p.Number, p.transport()), int32(p.Number), p.transport()
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: portName, Port: number, Protocol: transport})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &portName, Port: &number, Protocol: &transport})
	}
	for _, r := range running {
		if r.Pod.Gateway != nil && r.Pod.Gateway.Name == g.Name {
			slice.Endpoints = append(slice.Endpoints, r.endpoint())
		}
	}
	return []snapshot.Object{service, slice}
}
