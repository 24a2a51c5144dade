package cluster

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/leno-mesh/leno/test/cluster/host"
)

// Status prints each daemon, alive or not, and each node, ready or why not. A cluster that is down is an error.
func (h Harness) Status(ctx context.Context) error {
	c, s, err := h.load()
	if err != nil {
		return err
	}
	for _, d := range daemons(c, s) {
		p, alive := host.ReadProcess(h.record(c, d.Daemon.Name))
		if alive {
			fmt.Fprintf(h.Out, "  %-28s pid %d\n", d.Daemon.Name, p.PID)
		} else {
			fmt.Fprintf(h.Out, "  %-28s DEAD, see %s\n", d.Daemon.Name, filepath.Join(c.Logs(), d.Daemon.Name+".log"))
		}
	}
	client, err := newAPI(c)
	if err != nil {
		return err
	}
	var nodes nodeList
	if err := client.get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return fmt.Errorf("API server (run `cluster up`): %w", err)
	}
	for _, n := range c.Nodes {
		if err := nodes.nodeReady(n.Name); err != nil {
			fmt.Fprintf(h.Out, "  %v\n", err)
			continue
		}
		fmt.Fprintf(h.Out, "  node %s is ready (%s)\n", n.Name, c.NodeIPs(n))
	}
	return nil
}
