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
	"path/filepath"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/capture"
	"github.com/leno-mesh/leno/proxy/drain"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// dialTimeout is for one TCP connection; a SYN is repeated after 1 and 3 seconds.
const dialTimeout = 5 * time.Second

// runSidecar serves a pod until SIGTERM or SIGINT, and then until the application is done. A second signal ends it.
func runSidecar(args []string) error {
	var level slog.LevelVar
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: &level}))
	c, err := sidecarConfig(args, log, &level)
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
	pod := flags.String("pod", os.Getenv(mesh.EnvPodName), "name of the pod (environment "+mesh.EnvPodName+")")
	namespace := flags.String("namespace", os.Getenv(mesh.EnvPodNamespace), "namespace of the pod (environment "+mesh.EnvPodNamespace+")")
	account := flags.String("service-account", os.Getenv(mesh.EnvServiceAccount), "service account of the pod (environment "+mesh.EnvServiceAccount+")")
	domain := flags.String("trust-domain", env(mesh.EnvTrustDomain, "cluster.local"), "SPIFFE trust domain (environment "+mesh.EnvTrustDomain+")")
	addresses := flags.String("pod-ips", os.Getenv(mesh.EnvPodIPs), "comma list of the pod's addresses (environment "+mesh.EnvPodIPs+")")
	manager := flags.String("manager", env(mesh.EnvManager, fmt.Sprintf("%s:%d", mesh.ManagerServerName, mesh.ManagerPort)), "host:port of the control plane (environment "+mesh.EnvManager+")")
	managerName := flags.String("manager-name", mesh.ManagerServerName, "name in the control plane's certificate")
	token := flags.String("token", mesh.TokenFile, "file with the service-account token")
	trust := flags.String("trust", mesh.TrustFile, "file with the trust bundle")
	cache := flags.String("cache-dir", mesh.CacheDir, "directory for the last good configuration; empty: none")
	logLevel := flags.String("log-level", env(mesh.EnvLogLevel, "info"), "debug, info, warn or error (environment "+mesh.EnvLogLevel+")")
	longest := flags.Int("drain-seconds", 25, "longest drain; keep it below the pod's grace period")
	quiet := flags.Duration("drain-quiet", time.Second, "how long nothing must be going on before a drain ends")
	if err := flags.Parse(args); err != nil {
		return sidecar.Config{}, err
	}
	if err := level.UnmarshalText([]byte(*logLevel)); err != nil {
		return sidecar.Config{}, fmt.Errorf("--log-level %q: use debug, info, warn or error", *logLevel)
	}
	for name, value := range map[string]string{"pod": *pod, "namespace": *namespace, "service-account": *account, "pod-ips": *addresses} {
		if value == "" {
			return sidecar.Config{}, fmt.Errorf("--%s is not set: the injected container gets it from the pod by its environment", name)
		}
	}
	own, err := podAddresses(*addresses)
	if err != nil {
		return sidecar.Config{}, err
	}
	probes, err := readProbes(os.Getenv(mesh.EnvProbes))
	if err != nil {
		return sidecar.Config{}, err
	}
	c := sidecar.Config{
		Namespace: *namespace, Pod: *pod, ServiceAccount: *account, TrustDomain: *domain,
		Manager: *manager, ManagerName: *managerName, Token: enroll.FileToken(*token), Roots: sidecar.FileBundle(*trust),
		Listen: listen, Original: capture.Original, Dial: dial, Own: own.owns,
		Reserved: []uint16{mesh.PortAdmin, mesh.PortOutbound, mesh.PortInbound, mesh.PortHealth},
		Drain: proxy.Drain{
			Max: time.Duration(*longest) * time.Second, Quiet: *quiet,
			Application: func() bool { return drain.OthersHaveSockets(os.Getuid()) },
		},
		Probes: probes, PodIP: own[0], AccessLog: os.Stdout, Log: log, Level: level,
	}
	if *cache != "" {
		c.CacheFile = filepath.Join(*cache, "config")
	}
	if c.Admin, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", mesh.PortAdmin)); err != nil {
		return sidecar.Config{}, fmt.Errorf("admin: %w", err)
	}
	if c.Health, err = net.Listen("tcp", fmt.Sprintf(":%d", mesh.PortHealth)); err != nil {
		return sidecar.Config{}, fmt.Errorf("health: %w", err)
	}
	return c, nil
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
