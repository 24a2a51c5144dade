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

// portsOf are the TCP ports, ascending. A number that also serves UDP, as DNS does, is there for its TCP side.
func portsOf(svc *corev1.Service) []mesh.Port {
	var out []mesh.Port
	for _, p := range svc.Spec.Ports {
		if !isTCP(p.Protocol) || p.Port < 1 || p.Port > 65535 {
			continue
		}
		out = append(out, mesh.Port{Number: uint16(p.Port), Name: p.Name, Protocol: protocolOf(p)})
	}
	slices.SortStableFunc(out, func(a, b mesh.Port) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(out, func(a, b mesh.Port) bool { return a.Number == b.Number })
}

func isTCP(p corev1.Protocol) bool { return p == "" || p == corev1.ProtocolTCP }

// portOf finds a port by number; nil if the Service has none of that number.
func portOf(svc *mesh.Service, number uint16) *mesh.Port {
	i, found := slices.BinarySearchFunc(svc.Ports, number, func(p mesh.Port, n uint16) int { return cmp.Compare(p.Number, n) })
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
