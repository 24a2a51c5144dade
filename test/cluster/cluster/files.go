package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/leno-mesh/leno/test/cluster/host"
	"github.com/leno-mesh/leno/test/cluster/layout"
	"github.com/leno-mesh/leno/test/cluster/pki"
	"github.com/leno-mesh/leno/test/cluster/render"
)

// writeFiles writes keys and configuration.
func (h Harness) writeFiles(c layout.Cluster, s state) error {
	dirs := []string{c.PKI(), c.Logs(), filepath.Join(c.Dir, "processes"), filepath.Join(c.Dir, "images"), filepath.Join(c.Dir, "etcd")}
	for _, n := range c.Nodes {
		dirs = append(dirs, filepath.Join(n.Dir, "cni"), filepath.Join(n.Dir, "kubelet"), filepath.Join(n.Dir, "run"))
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	if err := pki.Write(c.PKI(), time.Now(), certificates(c)); err != nil {
		return err
	}
	files, err := configs(c, s)
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	return h.save(s)
}

func configs(c layout.Cluster, s state) (map[string][]byte, error) {
	hierarchies, err := host.Hierarchies()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{filepath.Join(c.Dir, "resolv.conf"): nil}
	clients := map[string]string{
		"kubeconfig":                         "admin",
		"kube-controller-manager.kubeconfig": "controller-manager",
		"kube-scheduler.kubeconfig":          "scheduler",
		"kube-proxy.kubeconfig":              "kube-proxy",
	}
	for _, n := range c.Nodes {
		files[filepath.Join(n.Dir, "kubelet.yaml")] = render.Kubelet(c, n, host.IsV2(hierarchies))
		files[filepath.Join(n.Dir, "kube-proxy.yaml")] = render.KubeProxy(c, n)
		files[filepath.Join(n.Dir, "containerd.toml")] = render.Containerd(n, s.Programs, s.Runc)
		files[filepath.Join(n.Dir, "cni", "10-leno.conflist")] = render.CNI(c, n)
		clients[n.Name+".kubeconfig"] = n.Name
	}
	for file, user := range clients {
		var pem [3][]byte
		for i, name := range []string{"ca.crt", user + ".crt", user + ".key"} {
			if pem[i], err = os.ReadFile(filepath.Join(c.PKI(), name)); err != nil {
				return nil, fmt.Errorf("kubeconfig of %s: %w", user, err)
			}
		}
		files[filepath.Join(c.Dir, file)] = render.Kubeconfig(c.Server(), pem[0], pem[1], pem[2])
	}
	return files, nil
}

// certificates lists who is known to the API server, and by which name RBAC knows them.
func certificates(c layout.Cluster) []pki.Request {
	local := net.ParseIP("127.0.0.1")
	list := []pki.Request{
		{
			Name: "apiserver", CommonName: "kube-apiserver",
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + layout.Domain},
			IPs:      []net.IP{local, net.ParseIP(layout.KubernetesIP), c.ControlPlane().IP4.AsSlice(), c.ControlPlane().IP6.AsSlice()},
		},
		{Name: "admin", CommonName: "admin", Organizations: []string{"system:masters"}},
		{Name: "controller-manager", CommonName: "system:kube-controller-manager"},
		{Name: "scheduler", CommonName: "system:kube-scheduler"},
		{Name: "kube-proxy", CommonName: "system:kube-proxy"},
		{Name: "front-proxy", CommonName: "front-proxy"},
	}
	for _, n := range c.Nodes {
		list = append(list, pki.Request{
			Name: n.Name, CommonName: "system:node:" + n.Name, Organizations: []string{"system:nodes"},
			DNSNames: []string{n.Name}, IPs: []net.IP{local, n.IP4.AsSlice(), n.IP6.AsSlice()},
		})
	}
	return list
}

// makeNetwork makes the namespaces and what is in them.
func makeNetwork(c layout.Cluster) error {
	for _, n := range c.Nodes {
		if err := ip("netns", "add", n.NetNS); err != nil {
			return err
		}
	}
	for _, args := range c.NetworkCommands() {
		if err := ip(args...); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes {
		if err := host.SetSysctls(n.NetNS, c.Sysctls()); err != nil {
			return err
		}
		if err := host.MakeCgroup(n.Cgroup); err != nil {
			return err
		}
	}
	return host.MakeCgroup(c.DaemonCgroup())
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
