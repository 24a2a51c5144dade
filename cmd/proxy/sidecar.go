package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/capture"
	"github.com/leno-mesh/leno/proxy/drain"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// dialTimeout is for one TCP connection; a SYN is repeated after 1 and 3 seconds.
const dialTimeout = 5 * time.Second

// run serves until SIGTERM or SIGINT, and then until the proxy has drained. A second signal ends it.
func run(args []string, configure func([]string, *slog.Logger, *slog.LevelVar) (sidecar.Config, error)) error {
	var level slog.LevelVar
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: &level}))
	c, err := configure(args, log, &level)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	limitMemory(log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	abort, end := context.WithCancel(context.Background())
	defer end()
	c.Drain.Abort = abort
	context.AfterFunc(ctx, func() {
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGTERM, os.Interrupt)
		<-again
		end()
	})
	return sidecar.Run(ctx, c)
}

// sidecarConfig reads flags and environment, and opens the servers of the proxy itself.
func sidecarConfig(args []string, log *slog.Logger, level *slog.LevelVar) (sidecar.Config, error) {
	flags := flag.NewFlagSet("leno-proxy sidecar", flag.ContinueOnError)
	common := newSettings(flags)
	addresses := flags.String("pod-ips", os.Getenv(mesh.EnvPodIPs), "comma list of the pod's addresses (environment "+mesh.EnvPodIPs+")")
	if err := flags.Parse(args); err != nil {
		return sidecar.Config{}, err
	}
	c, err := common.config(log, level, map[string]string{"pod-ips": *addresses})
	if err != nil {
		return sidecar.Config{}, err
	}
	own, err := podAddresses(*addresses)
	if err != nil {
		return sidecar.Config{}, err
	}
	if c.Probes, err = readProbes(os.Getenv(mesh.EnvProbes)); err != nil {
		return sidecar.Config{}, err
	}
	c.Listen, c.Original, c.Own, c.PodIP = listen, capture.Original, own.owns, own[0]
	c.Reserved = []uint16{mesh.PortAdmin, mesh.PortOutbound, mesh.PortInbound, mesh.PortHealth}
	c.Drain.Application = func() bool { return drain.OthersHaveSockets(os.Getuid()) }
	return c, serveItself(&c)
}

type addresses []netip.Addr

func podAddresses(list string) (addresses, error) {
	var found addresses
	for _, text := range split(list) {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("--pod-ips: %w", err)
		}
		found = append(found, address.Unmap())
	}
	if len(found) == 0 {
		return nil, errors.New("--pod-ips: no address")
	}
	return found, nil
}

// owns tells whether to is of this pod; the application listens there itself.
func (a addresses) owns(to netip.AddrPort) (netip.AddrPort, bool) {
	for _, address := range a {
		if to.Addr() == address {
			return to, true
		}
	}
	return netip.AddrPort{}, false
}

func readProbes(text string) ([]mesh.Probe, error) {
	if text == "" {
		return nil, nil
	}
	var probes []mesh.Probe
	if err := json.Unmarshal([]byte(text), &probes); err != nil {
		return nil, fmt.Errorf("environment %s: %w", mesh.EnvProbes, err)
	}
	return probes, nil
}

// listen opens the listeners that the kernel redirects to: outbound on loopback, where redirected packets of the pod's own
// processes arrive; inbound on all addresses. IPv6 is optional, a node may have none.
func listen(direction telemetry.Direction) ([]net.Listener, error) {
	hosts, port := []string{"127.0.0.1", "[::1]"}, mesh.PortOutbound
	if direction == telemetry.Inbound {
		hosts, port = []string{"0.0.0.0", "[::]"}, mesh.PortInbound
	}
	v4, err := accept.Listen("tcp4", fmt.Sprintf("%s:%d", hosts[0], port))
	if err != nil {
		return nil, err
	}
	v6, err := accept.Listen("tcp6", fmt.Sprintf("%s:%d", hosts[1], port))
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return []net.Listener{v4}, nil
	case err != nil:
		_ = v4.Close()
		return nil, err
	}
	return []net.Listener{v4, v6}, nil
}

func dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: accept.KeepAlive}
	return dialer.DialContext(ctx, "tcp", to.String())
}
