// Package layout says where everything of a cluster is: names, addresses and paths. It is arithmetic, nothing is touched.
package layout

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
)

// The address plan. Every cluster lives in network namespaces of its own, so all clusters share one plan.
const (
	NodeCIDR4 = "10.90.0.0/24"
	NodeCIDR6 = "fd00:10:90::/64"
	PodCIDR4  = "10.244.0.0/16"
	PodCIDR6  = "fd00:10:244::/48"

	ServiceCIDR4 = "10.96.0.0/16"
	ServiceCIDR6 = "fd00:10:96::/112"
	// LoadBalancer addresses: routed to every node, translated there by kube-proxy.
	LoadBalancerCIDR4 = "10.98.0.0/24"
	LoadBalancerCIDR6 = "fd00:10:98::/120"

	// KubernetesIP and DNSIP are the first and the tenth address of ServiceCIDR4.
	KubernetesIP = "10.96.0.1"
	DNSIP        = "10.96.0.10"

	Domain        = "cluster.local"
	APIServerPort = 6443

	// PauseImage is the sandbox image; it is imported, never pulled. The DNS image's tag follows its content.
	PauseImage = "leno.dev/cluster/pause:1"
	DNSImage   = "leno.dev/cluster/coredns"

	// MaxNodes keeps one digit per node in names and addresses.
	MaxNodes = 9
)

// Cluster is one cluster's plan.
type Cluster struct {
	Name  string
	Dir   string // everything the cluster writes, absolute
	IPv6  bool   // dual stack; false on a machine without IPv6
	Nodes []Node // the first one also runs the control plane
}

// Node is one node's plan.
type Node struct {
	Name     string
	Index    int    // from 1
	Dir      string // this node's part of Cluster.Dir
	NetNS    string // name under /run/netns
	Cgroup   string // absolute within each hierarchy
	IP4, IP6 netip.Addr
	Pods4    netip.Prefix
	Pods6    netip.Prefix
}

var namePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,14}[a-z0-9])?$`)

// New plans a cluster of the given number of nodes with its files under root.
func New(name, root string, nodes int, ipv6 bool) (Cluster, error) {
	if !namePattern.MatchString(name) {
		return Cluster{}, fmt.Errorf("cluster name %q: use 1 to 16 of a-z, 0-9 and -, starting with a letter", name)
	}
	if nodes < 1 || nodes > MaxNodes {
		return Cluster{}, fmt.Errorf("%d nodes: use 1 to %d", nodes, MaxNodes)
	}
	c := Cluster{Name: name, Dir: filepath.Join(root, name), IPv6: ipv6}
	for i := 1; i <= nodes; i++ {
		nodeName := fmt.Sprintf("%s-%d", name, i)
		c.Nodes = append(c.Nodes, Node{
			Name:   nodeName,
			Index:  i,
			Dir:    filepath.Join(c.Dir, nodeName),
			NetNS:  "leno-cluster-" + nodeName,
			Cgroup: c.Cgroup() + "/" + nodeName,
			IP4:    netip.AddrFrom4([4]byte{10, 90, 0, byte(i)}),
			IP6:    netip.MustParseAddr(fmt.Sprintf("fd00:10:90::%d", i)),
			Pods4:  netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24),
			Pods6:  netip.MustParsePrefix(fmt.Sprintf("fd00:10:244:%d::/64", i)),
		})
	}
	return c, nil
}

// Cgroup is the cluster's cgroup in each hierarchy; all its processes, pods too, are below it.
func (c Cluster) Cgroup() string { return "/leno-cluster-" + c.Name }

// DaemonCgroup holds the cluster's own processes.
func (c Cluster) DaemonCgroup() string { return c.Cgroup() + "/daemons" }

// ControlPlane is the node that runs etcd, the API server and the controllers.
func (c Cluster) ControlPlane() Node { return c.Nodes[0] }

// Server is the API server's URL, reachable from the cluster's namespaces only.
func (c Cluster) Server() string {
	return fmt.Sprintf("https://%s:%d", c.ControlPlane().IP4, APIServerPort)
}

// Kubeconfig is the administrator's kubeconfig file.
func (c Cluster) Kubeconfig() string { return filepath.Join(c.Dir, "kubeconfig") }

// PKI is the folder of keys and certificates.
func (c Cluster) PKI() string { return filepath.Join(c.Dir, "pki") }

// Logs is the folder of the daemons' logs, one file each.
func (c Cluster) Logs() string { return filepath.Join(c.Dir, "logs") }

// NodeIPs lists a node's addresses in the form that kubelet's --node-ip takes.
func (c Cluster) NodeIPs(n Node) string { return c.join(n.IP4.String(), n.IP6.String()) }

// PodCIDRs, ServiceCIDRs and LoadBalancerCIDRs list the ranges of the families in use.
func (c Cluster) PodCIDRs() string { return c.join(PodCIDR4, PodCIDR6) }

// ServiceCIDRs: see PodCIDRs.
func (c Cluster) ServiceCIDRs() string { return c.join(ServiceCIDR4, ServiceCIDR6) }

// LoadBalancerCIDRs: see PodCIDRs.
func (c Cluster) LoadBalancerCIDRs() string { return c.join(LoadBalancerCIDR4, LoadBalancerCIDR6) }

func (c Cluster) join(v4, v6 string) string {
	if c.IPv6 {
		return v4 + "," + v6
	}
	return v4
}

// ContainerdSocket is the CRI socket of a node. It stays short: a Unix socket's path holds at most 107 bytes.
func (n Node) ContainerdSocket() string { return filepath.Join(n.Dir, "cri.sock") }

// Zone spreads the nodes over two zones, so that topology-aware behaviour can be seen.
func (n Node) Zone() string { return [2]string{"zone-a", "zone-b"}[(n.Index+1)%2] }
