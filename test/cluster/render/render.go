// Package render writes the configuration files and command lines of a cluster's parts. Pure: plan in, bytes out.
package render

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/test/cluster/layout"
)

// object is any JSON object; the files are small and their schemas belong to others.
type object = map[string]any

// Programs says where the binaries are.
type Programs struct {
	Kube       string // folder with etcd, kube-apiserver, … as symlinks to one binary
	Containerd string // folder with containerd, containerd-shim-runc-v2, ctr
	CNI        string // folder with the CNI plugins
}

func toYAML(o object) []byte {
	raw, err := yaml.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("render: %v", err)) // literals of this package only
	}
	return raw
}

// Kubeconfig is a client's configuration with the certificate <pki>/<user>.crt.
func Kubeconfig(server string, ca, cert, key []byte) []byte {
	return toYAML(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "leno",
		"clusters": []object{{"name": "leno", "cluster": object{"server": server, "certificate-authority-data": ca}}},
		"users":    []object{{"name": "leno", "user": object{"client-certificate-data": cert, "client-key-data": key}}},
		"contexts": []object{{"name": "leno", "context": object{"cluster": "leno", "user": "leno"}}},
	})
}

// Kubelet is the kubelet's configuration file.
func Kubelet(c layout.Cluster, n layout.Node, cgroupV2 bool) []byte {
	o := object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": filepath.Join(c.PKI(), "ca.crt")},
		},
		"authorization":            object{"mode": "Webhook"},
		"tlsCertFile":              filepath.Join(c.PKI(), n.Name+".crt"),
		"tlsPrivateKeyFile":        filepath.Join(c.PKI(), n.Name+".key"),
		"clusterDomain":            layout.Domain,
		"clusterDNS":               []string{layout.DNSIP},
		"resolvConf":               filepath.Join(c.Dir, "resolv.conf"),
		"containerRuntimeEndpoint": "unix://" + n.ContainerdSocket(),
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               n.Cgroup,
		"enforceNodeAllocatable":   []string{},
		"podLogsDir":               filepath.Join(n.Dir, "pod-logs"),
		"volumePluginDir":          filepath.Join(n.Dir, "volume-plugins"),
		"failSwapOn":               false,
		"serializeImagePulls":      false,
		"oomScoreAdj":              0,
		// A machine with a full disk must not evict what is under test.
		"evictionHard":                object{"memory.available": "20Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
		// Quick to notice, since tests wait for it.
		"nodeStatusUpdateFrequency":                 "4s",
		"nodeLeaseDurationSeconds":                  16,
		"configMapAndSecretChangeDetectionStrategy": "Watch",
		// The client's own limits only slow a test cluster down.
		"kubeAPIQPS": 500, "kubeAPIBurst": 500, "registryPullQPS": 0, "eventRecordQPS": 0,
	}
	if !cgroupV2 {
		o["failCgroupV1"] = false
	}
	return toYAML(o)
}

// KubeProxy is kube-proxy's configuration file. Connection tracking limits belong to the machine and are left alone.
func KubeProxy(c layout.Cluster, n layout.Node) []byte {
	return toYAML(object{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"mode":             "nftables",
		"hostnameOverride": n.Name,
		"clusterCIDR":      c.PodCIDRs(),
		"clientConnection": object{"kubeconfig": filepath.Join(c.Dir, "kube-proxy.kubeconfig")},
		"nftables":         object{"minSyncPeriod": "100ms"},
		"conntrack":        object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	})
}

// CNI is the node's pod network: a bridge, addresses from the node's own ranges.
func CNI(c layout.Cluster, n layout.Node) []byte {
	ranges := []any{[]object{{"subnet": n.Pods4.String()}}}
	routes := []object{{"dst": "0.0.0.0/0"}}
	if c.IPv6 {
		ranges = append(ranges, []object{{"subnet": n.Pods6.String()}})
		routes = append(routes, object{"dst": "::/0"})
	}
	raw, err := json.MarshalIndent(object{
		"cniVersion": "1.0.0", "name": NetworkName(n),
		"plugins": []object{{
			"type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
			"ipam": object{"type": "host-local", "dataDir": filepath.Join(n.Dir, "ipam"), "ranges": ranges, "routes": routes},
		}, {
			"type": "portmap", "backend": "nftables", "capabilities": object{"portMappings": true},
		}},
	}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("render: %v", err))
	}
	return raw
}

// NetworkName is the CNI network's name; the plugins' leftovers in /var/lib/cni bear it.
func NetworkName(n layout.Node) string { return n.NetNS }

// Containerd is containerd's configuration file (version 3).
func Containerd(n layout.Node, p Programs, runc string) []byte {
	return fmt.Appendf(nil, `version = 3
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.opt"]

[grpc]
address = %[3]q

[plugins."io.containerd.metadata.v1.bolt"]
no_sync = true

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %[4]q

[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE a lower oom_score_adj cannot be set.
restrict_oom_score_adj = true
# All mounts stay below the state folder, where they are found after a crash.
netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [%[5]q]
conf_dir = %[6]q
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = %[7]q
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = %[8]q
Root = %[9]q
SystemdCgroup = false
`,
		filepath.Join(n.Dir, "containerd"), filepath.Join(n.Dir, "run"), n.ContainerdSocket(), layout.PauseImage,
		p.CNI, filepath.Join(n.Dir, "cni"), filepath.Join(p.Containerd, "containerd-shim-runc-v2"), runc, filepath.Join(n.Dir, "runc"))
}
