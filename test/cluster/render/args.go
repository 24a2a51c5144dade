package render

import (
	"fmt"
	"path/filepath"

	"github.com/leno-mesh/leno/test/cluster/layout"
)

// Daemon is one long-running program of the cluster.
type Daemon struct {
	Name string // unique in the cluster; names its log and its record
	Path string
	Args []string // without the program's own name
}

// Etcd keeps its data without fsync: a test cluster's data does not outlive a power cut anyway.
func Etcd(c layout.Cluster, p Programs) Daemon {
	ip := c.ControlPlane().IP4.String()
	return Daemon{"etcd", filepath.Join(p.Kube, "etcd"), []string{
		"--name=leno", "--data-dir=" + filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=leno=http://127.0.0.1:2380",
		"--client-cert-auth", "--trusted-ca-file=" + pki(c, "ca.crt"),
		"--cert-file=" + pki(c, "apiserver.crt"), "--key-file=" + pki(c, "apiserver.key"),
		"--listen-metrics-urls=http://" + ip + ":2381", "--log-level=warn",
	}}
}

// APIServer reaches the kubelets by address: node names are in no DNS.
func APIServer(c layout.Cluster, p Programs) Daemon {
	return Daemon{"kube-apiserver", filepath.Join(p.Kube, "kube-apiserver"), []string{
		"--advertise-address=" + c.ControlPlane().IP4.String(), fmt.Sprintf("--secure-port=%d", layout.APIServerPort),
		"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + pki(c, "ca.crt"),
		"--etcd-certfile=" + pki(c, "apiserver.crt"), "--etcd-keyfile=" + pki(c, "apiserver.key"),
		"--tls-cert-file=" + pki(c, "apiserver.crt"), "--tls-private-key-file=" + pki(c, "apiserver.key"),
		"--client-ca-file=" + pki(c, "ca.crt"), "--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--service-cluster-ip-range=" + c.ServiceCIDRs(),
		"--service-account-issuer=https://kubernetes.default.svc." + layout.Domain,
		"--service-account-key-file=" + pki(c, "sa.pub"), "--service-account-signing-key-file=" + pki(c, "sa.key"),
		"--kubelet-certificate-authority=" + pki(c, "ca.crt"), "--kubelet-client-certificate=" + pki(c, "admin.crt"),
		"--kubelet-client-key=" + pki(c, "admin.key"), "--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + pki(c, "ca.crt"), "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + pki(c, "front-proxy.crt"), "--proxy-client-key-file=" + pki(c, "front-proxy.key"),
		// Aggregated API servers and webhooks are reached through their Service's translation on this node.
		"--enable-aggregator-routing=false",
		// Nodes that fall silent lose their pods within seconds, not five minutes.
		"--default-not-ready-toleration-seconds=30", "--default-unreachable-toleration-seconds=30",
	}}
}

// ControllerManager does not hand out pod ranges: the plan has.
func ControllerManager(c layout.Cluster, p Programs) Daemon {
	kubeconfig := filepath.Join(c.Dir, "kube-controller-manager.kubeconfig")
	return Daemon{"kube-controller-manager", filepath.Join(p.Kube, "kube-controller-manager"), []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--use-service-account-credentials", "--service-account-private-key-file=" + pki(c, "sa.key"),
		"--root-ca-file=" + pki(c, "ca.crt"), "--cluster-signing-cert-file=" + pki(c, "ca.crt"),
		"--cluster-signing-key-file=" + pki(c, "ca.key"), "--allocate-node-cidrs=false", "--leader-elect=false",
		"--node-monitor-grace-period=20s", "--node-monitor-period=2s", "--kube-api-qps=500", "--kube-api-burst=500",
	}}
}

// Scheduler has no peer to elect against.
func Scheduler(c layout.Cluster, p Programs) Daemon {
	kubeconfig := filepath.Join(c.Dir, "kube-scheduler.kubeconfig")
	return Daemon{"kube-scheduler", filepath.Join(p.Kube, "kube-scheduler"), []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=500",
	}}
}

// ServiceLB gives load balancer Services their addresses.
func ServiceLB(c layout.Cluster, p Programs) Daemon {
	return Daemon{"service-lb", filepath.Join(p.Kube, "service-lb"), []string{
		"--kubeconfig=" + c.Kubeconfig(), "--pools=" + c.LoadBalancerCIDRs(),
	}}
}

// ContainerdDaemon runs containerd on a node.
func ContainerdDaemon(n layout.Node, p Programs) Daemon {
	return Daemon{n.Name + "-containerd", filepath.Join(p.Containerd, "containerd"), []string{
		"--config=" + filepath.Join(n.Dir, "containerd.toml"), "--log-level=warn",
	}}
}

// KubeletDaemon runs the kubelet of a node.
func KubeletDaemon(c layout.Cluster, n layout.Node, p Programs) Daemon {
	return Daemon{n.Name + "-kubelet", filepath.Join(p.Kube, "kubelet"), []string{
		"--config=" + filepath.Join(n.Dir, "kubelet.yaml"), "--kubeconfig=" + filepath.Join(c.Dir, n.Name+".kubeconfig"),
		"--hostname-override=" + n.Name, "--node-ip=" + c.NodeIPs(n), "--root-dir=" + filepath.Join(n.Dir, "kubelet"),
		"--cert-dir=" + filepath.Join(n.Dir, "kubelet-pki"),
		"--node-labels=topology.kubernetes.io/zone=" + n.Zone() + ",topology.kubernetes.io/region=local",
	}}
}

// KubeProxyDaemon runs kube-proxy of a node; the node's object and address must be there first.
func KubeProxyDaemon(n layout.Node, p Programs) Daemon {
	return Daemon{n.Name + "-kube-proxy", filepath.Join(p.Kube, "kube-proxy"), []string{
		"--config=" + filepath.Join(n.Dir, "kube-proxy.yaml"),
	}}
}

func pki(c layout.Cluster, file string) string { return filepath.Join(c.PKI(), file) }
