package main

import (
	"net/netip"
	"slices"
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

func TestAssignWhatIsAskedFor(t *testing.T) {
	for _, tc := range []struct {
		name, wanted string
		has          []string
		change       bool
		want         []string
	}{
		{"free", "10.98.0.5", nil, true, []string{"10.98.0.5"}},
		{"has it", "10.98.0.5", []string{"10.98.0.5"}, false, nil},
		{"has another", "10.98.0.5", []string{"10.98.0.2"}, true, []string{"10.98.0.5"}},
		{"in no pool", "192.0.2.1", nil, false, nil},
		{"in no pool, has one", "192.0.2.1", []string{"10.98.0.2"}, true, nil},
		{"somebody else's", "10.98.0.1", nil, false, nil},
		{"asks no more", "", []string{"10.98.0.5"}, false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := service("b", corev1.ServiceTypeLoadBalancer, tc.has...)
			s.Spec.LoadBalancerIP = tc.wanted
			got := assign([]*corev1.Service{service("a", corev1.ServiceTypeLoadBalancer, "10.98.0.1"), s}, pools)
			if !tc.change {
				if len(got) != 0 {
					t.Errorf("changes: %v", got)
				}
				return
			}
			if len(got) != 1 || !slices.Equal(ips(got[0]), tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}
