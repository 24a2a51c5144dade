package gateways_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/mesh"
)

// testClusterIPs: a Service moves to the ClusterIP that is asked for; one that cannot be had, because it is taken or outside of the range,
// costs nobody a Service, and everything else of the Service follows.
func testClusterIPs(t *testing.T, r *running) {
	var taken corev1.Service
	if err := r.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &taken); err != nil {
		t.Fatal(err)
	}
	inside := netip.MustParseAddr(taken.Spec.ClusterIP).As4()
	inside[3] = 240
	free := netip.AddrFrom4(inside)
	inner := mesh.Name{Namespace: "default", Name: "inner"}
	g := r.gateway(t, "inner", 80)
	ask := func(addr netip.Addr, port uint16) {
		next := *g
		next.Ports = []mesh.GatewayPort{{Number: port}}
		next.Infrastructure.ClusterAddresses = []netip.Addr{addr}
		r.want(&next)
	}

	ask(netip.MustParseAddr("192.0.2.1"), 80)
	becomes(t, r, inner, "a Service, with another address", &corev1.Service{}, func(s *corev1.Service) bool { return s.Spec.ClusterIP != "192.0.2.1" })
	r.event(t, inner, "AddressNotAssigned", "Service default/inner-leno cannot have ClusterIPs [192.0.2.1]")
	at := func(port int32) func(*corev1.Service) bool {
		return func(s *corev1.Service) bool { return s.Spec.ClusterIP == free.String() && number(s, port) }
	}
	ask(free, 80)
	becomes(t, r, inner, "the address that is asked for", &corev1.Service{}, at(80))
	before := get(t, r, inner, &corev1.Service{})
	ask(netip.MustParseAddr(taken.Spec.ClusterIP), 81)
	becomes(t, r, inner, "another port at the same address", &corev1.Service{}, at(81))
	ask(netip.MustParseAddr("192.0.2.2"), 82)
	becomes(t, r, inner, "another port at the same address", &corev1.Service{}, at(82))
	if now := get(t, r, inner, &corev1.Service{}); now.UID != before.UID {
		t.Error("the Service was made again for an address that it cannot have")
	}
	r.unwant(inner)
}
