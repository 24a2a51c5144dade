package local

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func planServices(objects []*corev1.Service, addresses *allocator) []*Service {
	var services []*Service
	for _, obj := range objects {
		s := &Service{Name: nameOf(obj), object: obj}
		if obj.Spec.ClusterIP != corev1.ClusterIPNone && obj.Spec.Type != corev1.ServiceTypeExternalName {
			s.IP = addresses.next(serviceRange, s.String())
		}
		for _, port := range obj.Spec.Ports {
			if isTCP(port) {
				s.Ports = append(s.Ports, uint16(port.Port))
			}
		}
		slices.Sort(s.Ports)
		services = append(services, s)
	}
	return services
}

func isTCP(port corev1.ServicePort) bool {
	return port.Protocol == "" || port.Protocol == corev1.ProtocolTCP
}

// Selects tells whether the pod is behind the Service. A Service without selector has hand-made EndpointSlices.
func (s *Service) Selects(p *Pod) bool {
	if len(s.object.Spec.Selector) == 0 || p.Namespace != s.Namespace {
		return false
	}
	for key, value := range s.object.Spec.Selector {
		if p.Labels[key] != value {
			return false
		}
	}
	return true
}

// targetPort is where a port of a Service leads in a pod; false when the pod has no port of that name.
func targetPort(port corev1.ServicePort, p *Pod) (uint16, bool) {
	if !isTCP(port) {
		return 0, false
	}
	if port.TargetPort.Type == intstr.String {
		for _, c := range p.template.Spec.Containers {
			for _, named := range c.Ports {
				if named.Name == port.TargetPort.StrVal {
					return uint16(named.ContainerPort), true
				}
			}
		}
		return 0, false
	}
	if port.TargetPort.IntVal == 0 {
		return uint16(port.Port), true
	}
	return uint16(port.TargetPort.IntVal), true
}

// Address is where a person finds a port of the Service.
func (s *Service) Address(port uint16, options Options) netip.AddrPort {
	return options.served(netip.AddrPortFrom(s.IP, port))
}
