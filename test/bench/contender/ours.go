package contender

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/test/bench/proc"
)

// one is what a Go program of one worker gets.
var one = []string{"GOMAXPROCS=1"}

// Build compiles a program of the benchmark like a release, Leno with the profile of cmd/proxy too, to which its own is a link. It gives
// the program's path.
func Build(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", path,
		"github.com/leno-mesh/leno/test/bench/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return path, nil
}

// Leno is the data plane of these sources; path is the built test/bench/leno.
func Leno(path, version string) *Contender {
	return &Contender{
		Name: "leno", Version: version, Speaks: all, CountsAllocs: true,
		command: func(_ string, h Hop) (proc.Spec, error) {
			protocol := config.HTTP
			switch h.Protocol {
			case HTTP2, GRPC:
				protocol = config.HTTP2
			case TCP:
				protocol = config.TCP
			case HTTP1:
			}
			args := []string{"-listen", h.Listen, "-upstream", h.Upstream, "-protocol", string(protocol), "-debug", h.Debug}
			if h.ListenTLS {
				args = append(args, "-inbound")
			}
			if h.UpstreamTLS {
				args = append(args, "-peer", h.Peer)
			}
			if h.ListenTLS || h.UpstreamTLS {
				args = append(args, "-chain", h.Own.Chain, "-key", h.Own.Key, "-roots", h.Roots)
			}
			return proc.Spec{Path: path, Args: args, Env: one}, nil
		},
	}
}

// Sidecar is Leno with all that a sidecar has, told by a control plane where to send requests: path as for [Leno], the
// control plane's address, and files with token and roots.
func Sidecar(path, version, manager, token, roots string) *Contender {
	return &Contender{
		Name: "leno", Version: version, Speaks: all,
		command: func(_ string, h Hop) (proc.Spec, error) {
			args := []string{"-listen", h.Listen, "-debug", h.Debug, "-manager", manager, "-token", token, "-roots", roots}
			return proc.Spec{Path: path, Args: args, Env: one, Healthy: "http://" + h.Debug + "/ready"}, nil
		},
	}
}

// Relay copies bytes and understands nothing: a floor, not a competitor. It has no TLS.
func Relay(path, version string) *Contender {
	return &Contender{
		Name: "relay", Version: version, Speaks: all, PlainOnly: true,
		command: func(_ string, h Hop) (proc.Spec, error) {
			return proc.Spec{Path: path, Args: []string{"-listen", h.Listen, "-upstream", h.Upstream}, Env: one}, nil
		},
	}
}
