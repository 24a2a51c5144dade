package graph

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// sentinel is the routability that is reserved for tests of conformance and promises nothing (GEP-5093).
const sentinel gatewayv1.GatewayAddressRoutabilityType = "testing.x-k8s.io/sentinel"

// assignment is what a gateway has of the addresses that it asks for.
type assignment struct {
	addresses []status.Address // one for each entry of spec.addresses that has one; without entries all there are
	missing   []string         // what became of the other entries, for people
	// unusable is the first value of those, of entries that leave the routability open.
	unusable string
}

// assign gives each entry of spec.addresses an address of the gateway's Service, no two the same one: those first that ask for a
// value.
func (g *gateway) assign(service *corev1.Service) assignment {
	pool := poolOf(service)
	if len(g.object.Spec.Addresses) == 0 {
		return assignment{addresses: pool.byDefault()}
	}
	got := make([]*status.Address, len(g.object.Spec.Addresses))
	for _, static := range []bool{true, false} {
		for i, asked := range g.object.Spec.Addresses {
			if static == (asked.Value != "") {
				got[i] = pool.take(asked)
			}
		}
	}
	var out assignment
	for i, asked := range g.object.Spec.Addresses {
		if got[i] != nil {
			out.addresses = append(out.addresses, *got[i])
			continue
		}
		out.missing = append(out.missing, unassigned(i, asked))
		if asked.Routability == "" && out.unusable == "" {
			out.unusable = asked.Value
		}
	}
	return out
}

// unassigned says what became of an entry that has no address.
func unassigned(i int, asked gatewayv1.GatewaySpecAddress) string {
	where := fmt.Sprintf("spec.addresses[%d]", i)
	switch kind := addressType(asked); {
	case kind != gatewayv1.IPAddressType:
		return fmt.Sprintf("%s is of type %.100s: only %s is supported", where, kind, gatewayv1.IPAddressType)
	case !reachable(asked.Routability):
		return fmt.Sprintf("%s has routability %.253s, which is not supported: use %s, or leave it out", where, asked.Routability, gatewayv1.GatewayAddressRoutabilityCluster)
	case asked.Value != "" && asked.Routability != "":
		return fmt.Sprintf("%s: the Service cannot have %.253s as its ClusterIP: ask for an address in the cluster's range for Services that nobody else has", where, asked.Value)
	case asked.Value != "":
		return fmt.Sprintf("%s: address %.253s could not be had from the cluster's load balancer: ask for one that it can give, or for none", where, asked.Value)
	case asked.Routability != "":
		return fmt.Sprintf("%s: the Service has no further ClusterIP: it has one for each family of addresses", where)
	}
	return fmt.Sprintf("%s: the Service has no further IP address: if it stays so, the cluster has nothing that gives it one; leave spec.addresses out to take a name, too", where)
}

func addressType(asked gatewayv1.GatewaySpecAddress) gatewayv1.AddressType {
	return gatewayv1.AddressType(cmp.Or(deref(asked.Type), string(gatewayv1.IPAddressType)))
}

// reachable tells whether there are addresses of a routability.
func reachable(r gatewayv1.GatewayAddressRoutabilityType) bool {
	return r == gatewayv1.GatewayAddressRoutabilityDefault || r == gatewayv1.GatewayAddressRoutabilityCluster || r == sentinel
}

// pool is the addresses of a Service: those that its type is about, and its ClusterIPs.
type pool struct {
	balanced bool // of type LoadBalancer
	external []status.Address
	cluster  []status.Address
}

func poolOf(service *corev1.Service) *pool {
	p := &pool{balanced: service.Spec.Type == corev1.ServiceTypeLoadBalancer}
	for _, addr := range addresses(append([]string{service.Spec.ClusterIP}, service.Spec.ClusterIPs...)) {
		p.cluster = append(p.cluster, newAddress(gatewayv1.IPAddressType, addr.String(), gatewayv1.GatewayAddressRoutabilityCluster))
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		switch {
		case ingress.IP != "":
			p.external = append(p.external, newAddress(gatewayv1.IPAddressType, ingress.IP, gatewayv1.GatewayAddressRoutabilityDefault))
		case ingress.Hostname != "":
			p.external = append(p.external, newAddress(gatewayv1.HostnameAddressType, ingress.Hostname, gatewayv1.GatewayAddressRoutabilityDefault))
		}
	}
	return p
}

func newAddress(kind gatewayv1.AddressType, value string, routability gatewayv1.GatewayAddressRoutabilityType) status.Address {
	return status.Address{Type: string(kind), Value: value, Routability: ptr(string(routability))}
}

// byDefault are the addresses for which nobody asks in particular.
func (p *pool) byDefault() []status.Address {
	if p.balanced {
		return p.external
	}
	return p.cluster
}

// take removes an address that an entry asks for from the pool; nil: there is none. The sentinel gets one that is always there.
func (p *pool) take(asked gatewayv1.GatewaySpecAddress) *status.Address {
	if addressType(asked) != gatewayv1.IPAddressType || !reachable(asked.Routability) {
		return nil
	}
	from := &p.cluster
	if asked.Routability == "" && p.balanced {
		from = &p.external
	}
	i := slices.IndexFunc(*from, func(a status.Address) bool {
		return a.Type == string(gatewayv1.IPAddressType) && (asked.Value == "" || sameAddress(a.Value, asked.Value))
	})
	if i < 0 {
		return nil
	}
	one := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	if asked.Routability != "" {
		one.Routability = ptr(string(asked.Routability))
	}
	return &one
}

func sameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x.Unmap() == y.Unmap()
}

// assigned is the condition about addresses.
func (a assignment) assigned() status.Condition {
	switch {
	case len(a.missing) > 0 && len(a.addresses) > 0:
		return status.False(status.TypeAddressesAssigned, status.ReasonPartiallyAssigned, "%s", status.Sentences(a.missing))
	case len(a.missing) > 0:
		return status.False(status.TypeAddressesAssigned, status.ReasonNotAssigned, "%s", status.Sentences(a.missing))
	case len(a.addresses) == 0:
		return status.False(status.TypeAddressesAssigned, status.ReasonNotAssigned, "the gateway's Service has no address yet")
	}
	return status.True(status.TypeAddressesAssigned, status.ReasonAddressesAssigned, "each address that is asked for is there")
}

// pending says which addresses a gateway cannot do without; nil: it has what it needs. With some of several it works.
func (a assignment) pending(resource mesh.Name, service *corev1.Service) *status.Problem {
	switch {
	case a.unusable != "":
		return ptr(status.Why(status.ReasonAddressNotUsable,
			"address %.253s could not be had from the cluster's load balancer: ask for one that it can give, or for none", a.unusable))
	case len(a.addresses) > 0:
		return nil
	case len(a.missing) > 0:
		return ptr(status.Why(status.ReasonAddressNotAssigned, "%s", status.Sentences(a.missing)))
	}
	return ptr(status.Why(status.ReasonAddressNotAssigned,
		"Service %s of type %s has no address yet: if it stays so, the cluster has nothing that gives addresses to such Services", resource, service.Spec.Type))
}

// infrastructureAddresses tells the provisioner what to ask for.
func (g *gateway) infrastructureAddresses(out *mesh.Infrastructure) {
	asked := g.object.Spec.Addresses
	out.ClusterOnly = len(asked) > 0
	for _, a := range asked {
		list := addresses([]string{a.Value})
		switch a.Routability {
		case gatewayv1.GatewayAddressRoutabilityDefault:
			out.ClusterOnly = false
			out.Addresses = append(out.Addresses, list...)
		case gatewayv1.GatewayAddressRoutabilityCluster, sentinel:
			for _, addr := range list {
				// A Service has one of each family.
				if !slices.ContainsFunc(out.ClusterAddresses, func(other netip.Addr) bool { return other.Is4() == addr.Is4() }) {
					out.ClusterAddresses = append(out.ClusterAddresses, addr)
				}
			}
		}
	}
}
