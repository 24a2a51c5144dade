package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/leno-mesh/leno/test/cluster/artifact"
)

const gatewayAPIModule = "sigs.k8s.io/gateway-api@v1.7.0"

// GatewayAPI applies the definitions of one channel, out of the Gateway API's own module, and waits until they are served.
func (h Harness) GatewayAPI(_ context.Context, channel string) error {
	c, s, err := h.load()
	if err != nil {
		return err
	}
	if channel != "standard" && channel != "experimental" {
		return fmt.Errorf("channel %q: use standard or experimental", channel)
	}
	dir, err := artifact.ModuleDir(gatewayAPIModule)
	if err != nil {
		return err
	}
	var crds strings.Builder
	files, err := filepath.Glob(filepath.Join(dir, "config", "crd", channel, "gateway.networking.*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no definitions in %s: %w", dir, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("definitions: %w", err)
		}
		// The admission policy against downgrades is no definition and would refuse a later change of channel.
		if strings.Contains(filepath.Base(file), "_vap_") {
			continue
		}
		crds.WriteString("\n---\n")
		crds.Write(raw)
	}
	return h.step("Gateway API v1.7.0, "+channel, func() error {
		if err := h.apply(c, s, crds.String()); err != nil {
			return err
		}
		return h.kubectl(c, s, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
	})
}
