package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leno-mesh/leno/test/cluster/artifact"
	"github.com/leno-mesh/leno/test/cluster/host"
	"github.com/leno-mesh/leno/test/cluster/layout"
	"github.com/leno-mesh/leno/test/cluster/render"
)

// tools are Debian's part: command, package.
var tools = [][2]string{{"runc", "runc"}, {"nft", "nftables"}, {"ip", "iproute2"}, {"conntrack", "conntrack"}}

// Up brings the cluster up, or what of it is missing. nodes is 0 for "as it is, else one".
func (h Harness) Up(ctx context.Context, nodes int) error {
	start := time.Now()
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: it makes network namespaces, mounts and cgroups")
	}
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	c, err := h.resume(ctx, nodes)
	if err != nil {
		return err
	}
	fmt.Fprintf(h.Out, "cluster %s is ready after %.1fs; KUBECONFIG=%s (inside: `cluster kubectl …`, `cluster exec -- …`)\n",
		h.Name, time.Since(start).Seconds(), c.Kubeconfig())
	return nil
}

// resume starts what is missing of a cluster that stands; when that does not bring it back, or nothing stands, it begins
// afresh.
func (h Harness) resume(ctx context.Context, nodes int) (layout.Cluster, error) {
	c, s, err := h.load()
	if err != nil || !h.stands(c, s) {
		fmt.Fprintf(h.Out, "cluster %s:\n", h.Name)
		return h.fresh(ctx, max(nodes, s.Nodes, 1))
	}
	if nodes != 0 && nodes != s.Nodes {
		return c, fmt.Errorf("cluster %s is up with %d nodes: run `cluster down` first", h.Name, s.Nodes)
	}
	fmt.Fprintf(h.Out, "cluster %s is up; starting what is missing\n", h.Name)
	if err = h.run(ctx, c, s); err == nil || ctx.Err() != nil {
		return c, err
	}
	fmt.Fprintf(h.Out, "it does not come back (%v); starting afresh:\n", err)
	return h.fresh(ctx, s.Nodes)
}

// stands is false after a reboot, after a half-finished up, and when everything was killed: containerd then waits long for
// shims that are gone. Single daemons may be missing: each finds its data again.
func (h Harness) stands(c layout.Cluster, s state) bool {
	for _, n := range c.Nodes {
		if !host.NetNSExists(n.NetNS) {
			return false
		}
	}
	return slices.ContainsFunc(daemons(c, s), func(d placed) bool {
		_, alive := host.ReadProcess(h.record(c, d.Daemon.Name))
		return alive
	})
}

func (h Harness) fresh(ctx context.Context, nodes int) (layout.Cluster, error) {
	ipv6 := host.HasIPv6()
	c, err := layout.New(h.Name, h.Root, nodes, ipv6)
	if err != nil {
		return c, err
	}
	s := state{Nodes: nodes, IPv6: ipv6}
	steps := []struct {
		name string
		f    func() error
	}{
		{"Debian packages", func() (err error) { s.Runc, err = h.installTools(); return err }},
		{"programs", func() (err error) { s.Programs, err = h.programs(); return err }},
		{"clean state", func() error { return errors.Join(h.clean(c), h.keepTunables()) }},
		{"keys and configuration", func() error { return h.writeFiles(c, s) }},
		{"network and cgroups", func() error { return makeNetwork(c) }},
	}
	for _, step := range steps {
		if err := h.step(step.name, step.f); err != nil {
			return c, err
		}
	}
	return c, h.run(ctx, c, s)
}

// run starts every daemon that does not run and waits until the cluster is ready. Controllers and kube-proxy exit when they
// come before what they need, so they wait for it here.
func (h Harness) run(ctx context.Context, c layout.Cluster, s state) error {
	client, err := newAPI(c)
	if err != nil {
		return err
	}
	first, p := c.ControlPlane(), s.Programs
	startAll := func(list ...placed) func() error {
		return func() error {
			for _, d := range list {
				if err := h.start(c, s, d.Node, d.Daemon); err != nil {
					return err
				}
			}
			return nil
		}
	}
	var runtimes, kubelets []placed
	for _, n := range c.Nodes {
		runtimes = append(runtimes, placed{n, render.ContainerdDaemon(n, p)})
		kubelets = append(kubelets, placed{n, render.KubeletDaemon(c, n, p)})
	}
	err = h.step("etcd, API server, containerd", startAll(append(runtimes, placed{first, render.Etcd(c, p)}, placed{first, render.APIServer(c, p)})...))
	if err != nil {
		return err
	}
	var dns string
	if err := h.step("system images", func() (err error) { dns, err = h.systemImages(c, s); return err }); err != nil {
		return err
	}
	err = h.step("API server ready", func() error {
		return h.withLog(c, "kube-apiserver", wait(ctx, 2*time.Minute, func(ctx context.Context) error { return client.get(ctx, "/readyz", nil) }))
	})
	if err != nil {
		return err
	}
	err = h.step("controllers, kubelet", startAll(append(kubelets, placed{first, render.ControllerManager(c, p)}, placed{first, render.Scheduler(c, p)}, placed{first, render.ServiceLB(c, p)})...))
	if err != nil {
		return err
	}
	if err := h.step("DNS applied", func() error { return h.apply(c, s, render.CoreDNS(dns)) }); err != nil {
		return err
	}
	err = h.step("nodes registered, kube-proxy", func() error {
		for _, n := range c.Nodes {
			err := wait(ctx, time.Minute, func(ctx context.Context) error {
				var l nodeList
				return errors.Join(client.get(ctx, "/api/v1/nodes", &l), l.registered(n.Name))
			})
			if err := h.withLog(c, n.Name+"-kubelet", err); err != nil {
				return err
			}
			if err := h.start(c, s, n, render.KubeProxyDaemon(n, p)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return h.step("nodes and DNS ready", func() error { return h.waitReady(ctx, c, client) })
}

func (h Harness) waitReady(ctx context.Context, c layout.Cluster, client *api) error {
	for _, n := range c.Nodes {
		err := wait(ctx, 2*time.Minute, func(ctx context.Context) error {
			var l nodeList
			return errors.Join(client.get(ctx, "/api/v1/nodes", &l), l.nodeReady(n.Name))
		})
		if err := h.withLog(c, n.Name+"-kubelet", err); err != nil {
			return err
		}
	}
	return wait(ctx, 2*time.Minute, func(ctx context.Context) error {
		return client.available(ctx, "kube-system", "coredns")
	})
}

// installTools returns the path of runc; whatever is missing comes from Debian.
func (h Harness) installTools() (string, error) {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing = append(missing, t[1])
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(h.Out, "installing %s … ", strings.Join(missing, " "))
		install := append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...)
		err := apt(install...)
		if err != nil {
			err = errors.Join(apt("update"), apt(install...)) // the package lists were missing or old
		}
		if err != nil {
			return "", fmt.Errorf("install %s by hand: %w", strings.Join(missing, " "), err)
		}
	}
	return exec.LookPath("runc")
}

func apt(args ...string) error {
	cmd := exec.Command("apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// programs builds, or finds, all binaries. One after the other: each build already uses every core.
func (h Harness) programs() (p render.Programs, err error) {
	for _, b := range []struct {
		spec artifact.Spec
		dir  *string
	}{{artifact.Kube(h.Source), &p.Kube}, {artifact.Containerd(), &p.Containerd}, {artifact.CNI(), &p.CNI}} {
		if *b.dir, err = h.Cache.Get(b.spec); err != nil {
			return p, err
		}
	}
	return p, nil
}

// systemImages loads the images every node needs before its first pod and returns the DNS image's name.
func (h Harness) systemImages(c layout.Cluster, s state) (dns string, err error) {
	images, dns, err := h.buildSystemImages(c)
	if err != nil {
		return "", err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(c.Nodes))
	for i, n := range c.Nodes {
		wg.Go(func() {
			for _, file := range images {
				if errs[i] = h.importImage(s, n, file); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return dns, errors.Join(errs...)
}

// withLog adds the end of a daemon's log to an error.
func (h Harness) withLog(c layout.Cluster, daemon string, err error) error {
	if err == nil {
		return nil
	}
	path := c.Logs() + "/" + daemon + ".log"
	raw, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return fmt.Errorf("%w\nthe end of %s:\n%s", err, path, strings.Join(lines[max(0, len(lines)-15):], "\n"))
}
