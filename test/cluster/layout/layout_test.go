package layout

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func plan(t *testing.T, nodes int, ipv6 bool) Cluster {
	t.Helper()
	c, err := New("leno", "/var/lib/leno-cluster", nodes, ipv6)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nodes int
	}{{"", 1}, {"Leno", 1}, {"-a", 1}, {"a/b", 1}, {"a-name-that-is-too-long", 1}, {"leno", 0}, {"leno", 10}} {
		if _, err := New(tc.name, "/", tc.nodes, true); err == nil {
			t.Errorf("New(%q, %d nodes) is accepted", tc.name, tc.nodes)
		}
	}
}

func TestRangesDoNotOverlap(t *testing.T) {
	var all []netip.Prefix
	for _, s := range []string{NodeCIDR4, NodeCIDR6, PodCIDR4, PodCIDR6, ServiceCIDR4, ServiceCIDR6, LoadBalancerCIDR4, LoadBalancerCIDR6} {
		all = append(all, netip.MustParsePrefix(s))
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
	for _, n := range plan(t, MaxNodes, true).Nodes {
		if !netip.MustParsePrefix(PodCIDR4).Contains(n.Pods4.Addr()) || !netip.MustParsePrefix(PodCIDR6).Contains(n.Pods6.Addr()) {
			t.Errorf("pods of %s are outside the pod range", n.Name)
		}
	}
}

func TestSocketPathFits(t *testing.T) {
	c, err := New("a-name-of-16-chr", "/var/lib/leno-cluster", 9, true)
	if err != nil {
		t.Fatal(err)
	}
	if path := c.Nodes[8].ContainerdSocket() + ".ttrpc"; len(path) > 107 {
		t.Errorf("%s has %d bytes, a Unix socket's path holds 107", path, len(path))
	}
}

func TestNetworkCommands(t *testing.T) {
	joined := func(c Cluster) []string {
		var out []string
		for _, args := range c.NetworkCommands() {
			out = append(out, strings.Join(args, " "))
		}
		return out
	}
	two := joined(plan(t, 2, true))
	for _, want := range []string{
		"-n leno-cluster-leno-1 link add eth0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
		"-n leno-cluster-leno-1 link add node2 type veth peer name eth0 netns leno-cluster-leno-2",
		"-n leno-cluster-leno-2 addr add 10.90.0.2/24 dev eth0",
		"-n leno-cluster-leno-1 route add 10.244.2.0/24 via 10.90.0.2",
		"-n leno-cluster-leno-2 -6 route add fd00:10:244:1::/64 via fd00:10:90::1",
		"-n leno-cluster-leno-2 route add 10.98.0.0/24 dev eth0",
	} {
		if !slices.Contains(two, want) {
			t.Errorf("missing: ip %s", want)
		}
	}
	for _, line := range joined(plan(t, 2, false)) {
		if strings.Contains(line, "fd00") {
			t.Errorf("IPv6 without IPv6: ip %s", line)
		}
	}
}
