// Package cluster composes a cluster from its parts: up, down, and commands inside it.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/leno-mesh/leno/test/cluster/artifact"
	"github.com/leno-mesh/leno/test/cluster/host"
	"github.com/leno-mesh/leno/test/cluster/layout"
	"github.com/leno-mesh/leno/test/cluster/render"
)

// Harness is what the commands work with.
type Harness struct {
	Name   string
	Root   string // state of all clusters, /var/lib/leno-cluster
	Source string // folder of this module
	Cache  artifact.Cache
	Out    io.Writer
}

// DefaultRoot holds etcd's and containerd's data, which a small /run would not.
const DefaultRoot = "/var/lib/leno-cluster"

// state is what a running cluster was made with; kept in cluster.json.
type state struct {
	Nodes    int
	IPv6     bool
	Programs render.Programs
	Runc     string
}

// ErrDown says that no cluster of the name is up.
var ErrDown = errors.New("the cluster is not up: run `cluster up`")

func (h Harness) stateFile() string { return filepath.Join(h.Root, h.Name, "cluster.json") }

// load reads the plan of the cluster that is up.
func (h Harness) load() (layout.Cluster, state, error) {
	var s state
	raw, err := os.ReadFile(h.stateFile())
	if errors.Is(err, os.ErrNotExist) {
		return layout.Cluster{}, s, ErrDown
	}
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		return layout.Cluster{}, s, fmt.Errorf("state of cluster %s (run `cluster down`): %w", h.Name, err)
	}
	c, err := layout.New(h.Name, h.Root, s.Nodes, s.IPv6)
	return c, s, err
}

func (h Harness) save(s state) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(h.stateFile(), raw, 0o644)
}

// step prints what is being done and, when it is done, how long it took.
func (h Harness) step(name string, f func() error) error {
	start := time.Now()
	fmt.Fprintf(h.Out, "  %-44s ", name)
	err := f()
	if err != nil {
		fmt.Fprintf(h.Out, "failed after %.1fs\n", time.Since(start).Seconds())
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(h.Out, "%6.1fs\n", time.Since(start).Seconds())
	return nil
}

// lock makes up and down of one cluster wait for each other.
func (h Harness) lock() (func(), error) { return artifact.Lock(h.lockFile()) }

func (h Harness) lockFile() string { return filepath.Join(h.Root, h.Name+".lock") }

func (h Harness) record(c layout.Cluster, daemon string) string {
	return filepath.Join(c.Dir, "processes", daemon)
}

// start starts the daemon unless it runs.
func (h Harness) start(c layout.Cluster, s state, n layout.Node, d render.Daemon) error {
	if _, alive := host.ReadProcess(h.record(c, d.Name)); alive {
		return nil
	}
	cmd := host.Command{
		NetNS: n.NetNS, Cgroup: c.DaemonCgroup(), Path: d.Path,
		Args: append([]string{filepath.Base(d.Path)}, d.Args...),
		Env: []string{
			"PATH=" + s.Programs.Kube + ":" + s.Programs.Containerd + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOME=/root",
		},
	}
	return host.Start(cmd, filepath.Join(c.Logs(), d.Name+".log"), h.record(c, d.Name))
}

type placed struct {
	layout.Node
	render.Daemon
}

// daemons lists every daemon of the cluster with its node, in the order in which they start.
func daemons(c layout.Cluster, s state) []placed {
	first, p := c.ControlPlane(), s.Programs
	out := []placed{{first, render.Etcd(c, p)}, {first, render.APIServer(c, p)}}
	for _, n := range c.Nodes {
		out = append(out, placed{n, render.ContainerdDaemon(n, p)})
	}
	out = append(out, placed{first, render.ControllerManager(c, p)}, placed{first, render.Scheduler(c, p)}, placed{first, render.ServiceLB(c, p)})
	for _, n := range c.Nodes {
		out = append(out, placed{n, render.KubeletDaemon(c, n, p)}, placed{n, render.KubeProxyDaemon(n, p)})
	}
	return out
}
