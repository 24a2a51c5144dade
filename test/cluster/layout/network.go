package layout

import "fmt"

// NetworkCommands are the arguments of `ip`, in order, that build the cluster's network from existing, empty namespaces.
// The first node's eth0 is a bridge (it needs no peer, and kernels without dummy devices have it); each further node hangs
// on it by a veth pair. Service and load balancer ranges are routed to eth0 so that a local connection finds a route before kube-proxy
// translates it.
func (c Cluster) NetworkCommands() [][]string {
	var out [][]string
	first := c.ControlPlane()
	add := func(n Node, args ...string) { out = append(out, append([]string{"-n", n.NetNS}, args...)) }
	add(first, "link", "add", "eth0", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
	for _, n := range c.Nodes[1:] {
		peer := fmt.Sprintf("node%d", n.Index)
		add(first, "link", "add", peer, "type", "veth", "peer", "name", "eth0", "netns", n.NetNS)
		add(first, "link", "set", peer, "master", "eth0", "up")
	}
	for _, n := range c.Nodes {
		add(n, "link", "set", "lo", "up")
		add(n, "link", "set", "eth0", "up")
		add(n, "addr", "add", n.IP4.String()+"/24", "dev", "eth0")
		for _, cidr := range []string{ServiceCIDR4, LoadBalancerCIDR4} {
			add(n, "route", "add", cidr, "dev", "eth0")
		}
		if c.IPv6 {
			add(n, "addr", "add", n.IP6.String()+"/64", "dev", "eth0", "nodad")
			for _, cidr := range []string{ServiceCIDR6, LoadBalancerCIDR6} {
				add(n, "-6", "route", "add", cidr, "dev", "eth0")
			}
		}
		for _, peer := range c.Nodes {
			if peer.Index == n.Index {
				continue
			}
			add(n, "route", "add", peer.Pods4.String(), "via", peer.IP4.String())
			if c.IPv6 {
				add(n, "-6", "route", "add", peer.Pods6.String(), "via", peer.IP6.String())
			}
		}
	}
	return out
}

// Sysctls are set inside each node's namespace: path below /proc/sys, value.
func (c Cluster) Sysctls() [][2]string {
	out := [][2]string{
		{"net/ipv4/ip_forward", "1"},
		// Replies between two pods of one bridge must pass the translation rules too.
		{"net/bridge/bridge-nf-call-iptables", "1"},
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
	}
	if c.IPv6 {
		out = append(out,
			[2]string{"net/ipv6/conf/all/forwarding", "1"},
			[2]string{"net/bridge/bridge-nf-call-ip6tables", "1"},
			[2]string{"net/ipv6/conf/default/accept_dad", "0"})
	}
	return out
}
