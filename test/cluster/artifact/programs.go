package artifact

import "path/filepath"

// KubernetesVersion is what the kube module requires.
const KubernetesVersion = "v1.37.2"

const stamp = "-X k8s.io/component-base/version."

// Kube is etcd, the Kubernetes programs, kubectl and the load balancer controller, in one binary.
func Kube(source string) Spec {
	return Spec{
		Name: "kube", Dir: filepath.Join(source, "kube"), Tags: "providerless",
		LDFlags: "-s -w " + stamp + "gitVersion=" + KubernetesVersion + " " + stamp + "gitMajor=1 " + stamp + "gitMinor=37 " +
			stamp + "gitTreeState=clean",
		Links: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "service-lb"},
	}
}

// Containerd is the container runtime without the snapshotters nobody uses here.
func Containerd() Spec {
	const version = "v2.4.2"
	return Spec{
		Name: "containerd", Tags: "no_btrfs no_devmapper no_zfs no_aufs",
		LDFlags: "-s -w -X github.com/containerd/containerd/v2/version.Version=" + version,
		Packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd@" + version,
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@" + version,
			"github.com/containerd/containerd/v2/cmd/ctr@" + version,
		},
	}
}

// CNI is the reference plugins that the pod network uses.
func CNI() Spec {
	const version = "v1.9.1"
	return Spec{
		Name: "cni", LDFlags: "-s -w",
		Packages: []string{
			"github.com/containernetworking/plugins/plugins/main/bridge@" + version,
			"github.com/containernetworking/plugins/plugins/main/loopback@" + version,
			"github.com/containernetworking/plugins/plugins/ipam/host-local@" + version,
			"github.com/containernetworking/plugins/plugins/meta/portmap@" + version,
		},
	}
}

// CoreDNS is the DNS server with the few plugins the cluster uses.
func CoreDNS(source string) Spec {
	return Spec{Name: "coredns", Dir: filepath.Join(source, "coredns"), LDFlags: "-s -w"}
}

// Pause is the program of a pod's sandbox.
func Pause(source string) Spec {
	return Spec{Name: "pause", Dir: source, Main: "pause", LDFlags: "-s -w"}
}

// CertManager is cert-manager's controllers, its webhook and a renderer of its chart, in one binary.
func CertManager(source string) Spec {
	return Spec{
		Name: "certmanager", Dir: filepath.Join(source, "certmanager"), LDFlags: "-s -w",
		Links: []string{"controller", "cainjector", "webhook", "manifests"},
	}
}
