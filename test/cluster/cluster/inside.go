package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/leno-mesh/leno/test/cluster/artifact"
	"github.com/leno-mesh/leno/test/cluster/host"
	"github.com/leno-mesh/leno/test/cluster/image"
	"github.com/leno-mesh/leno/test/cluster/layout"
	"github.com/leno-mesh/leno/test/cluster/render"
)

// environment is that of a command inside: kubectl in PATH, KUBECONFIG set.
func environment(c layout.Cluster, s state) []string {
	env := append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	return append(env, "PATH="+s.Programs.Kube+":"+os.Getenv("PATH"))
}

// Exec replaces this process by the command, in the network namespace of the first node.
func (h Harness) Exec(command []string) error {
	c, s, err := h.load()
	if err != nil {
		return err
	}
	env := environment(c, s)
	if err := os.Setenv("PATH", strings.TrimPrefix(env[len(env)-1], "PATH=")); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("command: %w", err)
	}
	if err := os.Setenv("KUBECONFIG", c.Kubeconfig()); err != nil {
		return err
	}
	return host.Launch(append([]string{c.ControlPlane().NetNS, "", path}, command...))
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (h Harness) Kubeconfig() (string, error) {
	c, _, err := h.load()
	return c.Kubeconfig(), err
}

// kubectl runs kubectl inside. Its output is in the error.
func (h Harness) kubectl(c layout.Cluster, s state, stdin string, args ...string) error {
	cmd, err := host.Wrap(host.Command{
		NetNS: c.ControlPlane().NetNS, Path: filepath.Join(s.Programs.Kube, "kubectl"),
		Args: append([]string{"kubectl"}, args...), Env: environment(c, s),
	})
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// apply is server-side: large definitions do not fit into the annotation that client-side apply writes.
func (h Harness) apply(c layout.Cluster, s state, manifest string) error {
	return h.kubectl(c, s, manifest, "apply", "--server-side", "--force-conflicts", "--field-manager=leno-cluster", "-f", "-")
}

// Image builds an image, loads it into every node and returns its full name.
func (h Harness) Image(spec image.Spec) (string, error) {
	c, s, err := h.load()
	if err != nil {
		return "", err
	}
	name, file, err := h.writeImage(c, spec)
	if err != nil {
		return "", err
	}
	return name, h.loadAll(c, s, file)
}

// Load imports an image tarball (docker save or OCI layout) into every node.
func (h Harness) Load(file string) error {
	c, s, err := h.load()
	if err != nil {
		return err
	}
	return h.loadAll(c, s, file)
}

func (h Harness) loadAll(c layout.Cluster, s state, file string) error {
	for _, n := range c.Nodes {
		if err := h.importImage(s, n, file); err != nil {
			return err
		}
	}
	return nil
}

// writeImage returns the image's full name and its tarball.
func (h Harness) writeImage(c layout.Cluster, spec image.Spec) (name, file string, err error) {
	spec.Arch = runtime.GOARCH
	built, err := image.Build(spec)
	if err != nil {
		return "", "", err
	}
	file = filepath.Join(c.Dir, "images", strings.NewReplacer("/", "_", ":", "_").Replace(built.Name)+".tar")
	f, err := os.Create(file)
	if err != nil {
		return "", "", fmt.Errorf("image file: %w", err)
	}
	defer f.Close()
	if err := built.Write(f); err != nil {
		return "", "", err
	}
	return built.Name, file, f.Close()
}

// importImage waits for containerd, which may just have been started.
func (h Harness) importImage(s state, n layout.Node, file string) error {
	return wait(context.Background(), 30*time.Second, func(ctx context.Context) error {
		ctr := exec.CommandContext(ctx, filepath.Join(s.Programs.Containerd, "ctr"), "--address", n.ContainerdSocket(), "--namespace", "k8s.io",
			"images", "import", file)
		if out, err := ctr.CombinedOutput(); err != nil {
			return fmt.Errorf("import %s into %s: %w\n%s", filepath.Base(file), n.Name, err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}

// buildSystemImages returns the tarballs of what every node needs before its first pod, and the DNS image's name.
func (h Harness) buildSystemImages(c layout.Cluster) (files []string, dns string, err error) {
	for _, b := range []struct {
		artifact artifact.Spec
		image    string
	}{{artifact.Pause(h.Source), layout.PauseImage}, {artifact.CoreDNS(h.Source), layout.DNSImage}} {
		dir, err := h.Cache.Get(b.artifact)
		if err != nil {
			return nil, "", err
		}
		name, file, err := h.writeImage(c, image.Spec{Name: b.image, Binary: filepath.Join(dir, b.artifact.Name)})
		if err != nil {
			return nil, "", err
		}
		files, dns = append(files, file), name
	}
	return files, dns, nil
}

// Kubelet stops or starts the kubelet of a node; its pods live on.
func (h Harness) Kubelet(node string, run bool) error {
	c, s, err := h.load()
	if err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if n.Name != node {
			continue
		}
		d := render.KubeletDaemon(c, n, s.Programs)
		if run {
			return h.start(c, s, n, d)
		}
		if p, alive := host.ReadProcess(h.record(c, d.Name)); alive {
			return p.Kill(9)
		}
		return nil
	}
	return fmt.Errorf("no node %q: the nodes are %s-1 to %s-%d", node, c.Name, c.Name, len(c.Nodes))
}
