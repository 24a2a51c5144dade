package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/test/cluster/host"
	"github.com/leno-mesh/leno/test/cluster/layout"
)

// Down removes the cluster and all that it made: processes, mounts, network namespaces, cgroups, files.
func (h Harness) Down() error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	c, err := layout.New(h.Name, h.Root, layout.MaxNodes, true)
	if err != nil {
		return err
	}
	if err := h.step("cluster "+h.Name+" removed", func() error { return h.clean(c) }); err != nil {
		return err
	}
	if err := h.lastOneOut(); err != nil {
		return err
	}
	if err := os.Remove(h.lockFile()); err != nil {
		return err
	}
	_ = os.Remove(h.Root) // fails, as it should, while another cluster has something there
	return nil
}

// clean needs no record of what was made: everything bears the cluster's name or lies in its folder.
func (h Harness) clean(c layout.Cluster) error {
	records, err := filepath.Glob(filepath.Join(c.Dir, "processes", "*"))
	if err != nil {
		return err
	}
	for _, r := range records {
		if p, alive := host.ReadProcess(r); alive {
			if err := p.Kill(syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	if _, err := host.RemoveCgroup(c.Cgroup(), 20*time.Second); err != nil {
		return err
	}
	if _, err := host.UnmountBelow(c.Dir); err != nil {
		return err
	}
	names, err := host.NetNSWithPrefix("leno-cluster-" + c.Name + "-")
	if err != nil {
		return err
	}
	ours := regexp.MustCompile("^leno-cluster-" + regexp.QuoteMeta(c.Name) + "-[0-9]$")
	for _, name := range names {
		if ours.MatchString(name) {
			if err := ip("netns", "del", name); err != nil {
				return err
			}
		}
	}
	return errors.Join(removeOutside(c), os.RemoveAll(c.Dir))
}

// removeOutside removes the few files that containerd, CNI and the kubelet put at fixed places outside our folder, and those
// places when that leaves them empty.
func removeOutside(c layout.Cluster) error {
	var errs []error
	shims, _ := filepath.Glob(filepath.Join(c.Dir, "*", "run", "io.containerd.runtime.v2.task", "*", "*", "bootstrap.json"))
	for _, file := range shims {
		raw, _ := os.ReadFile(file)
		for _, m := range shimSocket.FindAllSubmatch(raw, -1) {
			errs = append(errs, remove(string(m[1])))
		}
	}
	results, _ := filepath.Glob("/var/lib/cni/results/*")
	for _, file := range results {
		if raw, _ := os.ReadFile(file); strings.Contains(string(raw), `"netns":"`+c.Dir+"/") {
			errs = append(errs, remove(file))
		}
	}
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, file := range links {
		if target, _ := os.Readlink(file); strings.HasPrefix(target, c.Dir+"/") {
			errs = append(errs, remove(file))
		}
	}
	if conn, err := net.Dial("unix", devicePlugins+"/kubelet.sock"); err == nil {
		conn.Close() // another cluster's kubelet
	} else {
		errs = append(errs, remove(devicePlugins+"/kubelet.sock"))
	}
	for _, dir := range []string{devicePlugins, filepath.Dir(devicePlugins), "/var/lib/cni/results", "/var/lib/cni", "/var/log/containers", "/run/containerd/s", "/run/containerd"} {
		_ = os.Remove(dir) // in use by others, or never made
	}
	return errors.Join(errs...)
}

// devicePlugins is compiled into the kubelet.
const devicePlugins = "/var/lib/kubelet/device-plugins"

var shimSocket = regexp.MustCompile(`unix://(/run/containerd/s/[0-9a-f]{64})`)

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}
