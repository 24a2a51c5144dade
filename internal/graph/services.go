package graph

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// servicesOf reads the Services that have a place in the mesh: all but those of type ExternalName, which are DNS names for
// something else.
func servicesOf(in map[mesh.Name]*corev1.Service) map[mesh.Name]*mesh.Service {
	out := make(map[mesh.Name]*mesh.Service, len(in))
	for name, svc := range in {
		if svc.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		out[name] = serviceOf(name, svc)
	}
	return out
}

func serviceOf(name mesh.Name, svc *corev1.Service) *mesh.Service {
	return &mesh.Service{
		Name:      name,
		Origin:    mesh.Origin{Kind: "Service", Namespace: name.Namespace, Name: name.Name, Generation: svc.Generation},
		Addresses: virtualAddresses(svc),
		Headless:  svc.Spec.ClusterIP == corev1.ClusterIPNone,
		Ports:     portsOf(svc),
	}
}

// virtualAddresses are the ClusterIPs, in the order of the object, and then the addresses that a load balancer gave.
// spec.externalIPs are left out: whoever may write a Service could claim anybody's address with them (CVE-2020-8554).
func virtualAddresses(svc *corev1.Service) []netip.Addr {
	var texts []string
	if svc.Spec.ClusterIP != corev1.ClusterIPNone {
		texts = append(texts, svc.Spec.ClusterIP)
		texts = append(texts, svc.Spec.ClusterIPs...)
	}
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		texts = append(texts, ingress.IP)
	}
	return addresses(texts)
}

// addresses parses and removes repetitions; what is no address (yet) is left out.
func addresses(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.IsUnspecified() || slices.Contains(out, addr.Unmap()) {
			continue
		}
		out = append(out, addr.Unmap())
	}
	return out
}

// portsOf are the ports for TCP and UDP.
func portsOf(svc *corev1.Service) []mesh.Port {
	var out []mesh.Port
	for _, p := range svc.Spec.Ports {
		switch {
		case p.Port < 1 || p.Port > 65535:
		case isTCP(p.Protocol):
			out = append(out, mesh.Port{Number: uint16(p.Port), Name: p.Name, Protocol: protocolOf(p)})
		case p.Protocol == corev1.ProtocolUDP:
			out = append(out, mesh.Port{Number: uint16(p.Port), UDP: true, Name: p.Name})
		}
	}
	slices.SortStableFunc(out, comparePorts)
	return slices.CompactFunc(out, func(a, b mesh.Port) bool { return comparePorts(a, b) == 0 })
}

func comparePorts(a, b mesh.Port) int {
	number := func(p mesh.Port) int {
		if p.UDP {
			return int(p.Number)<<1 | 1
		}
		return int(p.Number) << 1
	}
	return cmp.Compare(number(a), number(b))
}

func isTCP(p corev1.Protocol) bool { return p == "" || p == corev1.ProtocolTCP }

// portOf finds a TCP port by number; nil if the Service has none of that number.
func portOf(svc *mesh.Service, number uint16) *mesh.Port {
	i, found := slices.BinarySearchFunc(svc.Ports, mesh.Port{Number: number}, comparePorts)
	if !found {
		return nil
	}
	return &svc.Ports[i]
}

// frontendsOf finds the Service port behind each virtual address. Two Services may claim one address only for a moment or
// by mistake; the first by name has it then.
func frontendsOf(services map[mesh.Name]*mesh.Service) map[netip.AddrPort]mesh.ServicePort {
	out := map[netip.AddrPort]mesh.ServicePort{}
	for _, name := range slices.SortedFunc(maps.Keys(services), compareNames) {
		svc := services[name]
		for _, addr := range svc.Addresses {
			for _, port := range svc.Ports {
				if port.UDP {
					continue // sidecars take TCP
				}
				at := netip.AddrPortFrom(addr, port.Number)
				if _, taken := out[at]; !taken {
					out[at] = mesh.ServicePort{Name: name, Port: port.Number}
				}
			}
		}
	}
	return out
}

// compareNames orders by namespace and then by name.
func compareNames(a, b mesh.Name) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
