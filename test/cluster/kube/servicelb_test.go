package main

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var pools = []netip.Prefix{netip.MustParsePrefix("10.98.0.0/29"), netip.MustParsePrefix("fd00::/125")}

func service(name string, kind corev1.ServiceType, given ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}}
	s.Spec.Type, s.Spec.IPFamilies = kind, []corev1.IPFamily{corev1.IPv4Protocol}
	for _, ip := range given {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	return s
}

func ips(s *corev1.Service) (out []string) {
	for _, in := range s.Status.LoadBalancer.Ingress {
		out = append(out, in.IP)
	}
	return out
}

func TestAssign(t *testing.T) {
	wanted := service("c", corev1.ServiceTypeLoadBalancer)
	wanted.Spec.LoadBalancerIP = "10.98.0.5"
	dual := service("d", corev1.ServiceTypeLoadBalancer)
	dual.Spec.IPFamilies = append(dual.Spec.IPFamilies, corev1.IPv6Protocol)
	foreign := service("e", corev1.ServiceTypeLoadBalancer)
	foreign.Spec.LoadBalancerClass = new("other")
	got := assign([]*corev1.Service{
		dual, wanted, foreign,
		service("a", corev1.ServiceTypeLoadBalancer, "10.98.0.1"),
		service("b", corev1.ServiceTypeClusterIP, "10.98.0.3"),
	}, pools)
	want := map[string][]string{"b": nil, "c": {"10.98.0.5"}, "d": {"10.98.0.2", "fd00::1"}}
	if len(got) != len(want) {
		t.Fatalf("%d services change, want %d", len(got), len(want))
	}
	for _, s := range got {
		if w := want[s.Name]; len(ips(s)) != len(w) || (len(w) > 0 && ips(s)[0] != w[0]) || (len(w) > 1 && ips(s)[1] != w[1]) {
			t.Errorf("%s: %v, want %v", s.Name, ips(s), w)
		}
	}
}

func TestAssignWhenThePoolIsEmpty(t *testing.T) {
	var all []*corev1.Service
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all = append(all, service(name, corev1.ServiceTypeLoadBalancer))
	}
	if got := assign(all, pools); len(got) != 6 {
		t.Errorf("a /29 has six addresses, %d were given", len(got))
	}
}
