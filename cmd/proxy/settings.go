package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/sidecar"
)

// settings are flags that all proxies have.
type settings struct {
	pod, namespace, account, domain, manager, managerName, token, trust, cache, level *string
	longest                                                                           *int
	quiet                                                                             *time.Duration
}

func newSettings(flags *flag.FlagSet) settings {
	return settings{
		pod:         flags.String("pod", os.Getenv(mesh.EnvPodName), "name of the pod (environment "+mesh.EnvPodName+")"),
		namespace:   flags.String("namespace", os.Getenv(mesh.EnvPodNamespace), "namespace of the pod (environment "+mesh.EnvPodNamespace+")"),
		account:     flags.String("service-account", os.Getenv(mesh.EnvServiceAccount), "service account of the pod (environment "+mesh.EnvServiceAccount+")"),
		domain:      flags.String("trust-domain", env(mesh.EnvTrustDomain, "cluster.local"), "SPIFFE trust domain (environment "+mesh.EnvTrustDomain+")"),
		manager:     flags.String("manager", env(mesh.EnvManager, fmt.Sprintf("%s:%d", mesh.ManagerServerName, mesh.ManagerPort)), "host:port of the control plane (environment "+mesh.EnvManager+")"),
		managerName: flags.String("manager-name", mesh.ManagerServerName, "name in the control plane's certificate"),
		token:       flags.String("token", mesh.TokenFile, "file with the service-account token"),
		trust:       flags.String("trust", mesh.TrustFile, "file with the trust bundle"),
		cache:       flags.String("cache-dir", mesh.CacheDir, "directory for the last good configuration; empty: none"),
		level:       flags.String("log-level", env(mesh.EnvLogLevel, "info"), "debug, info, warn or error (environment "+mesh.EnvLogLevel+")"),
		longest:     flags.Int("drain-seconds", 25, "longest drain; keep it below the pod's grace period"),
		quiet:       flags.Duration("drain-quiet", time.Second, "how long nothing must be going on before a drain ends"),
	}
}

// config is what follows from the flags, without the servers of the proxy itself; more are flags that must be set, too.
func (s settings) config(log *slog.Logger, level *slog.LevelVar, more map[string]string) (sidecar.Config, error) {
	if err := level.UnmarshalText([]byte(*s.level)); err != nil {
		return sidecar.Config{}, fmt.Errorf("--log-level %q: use debug, info, warn or error", *s.level)
	}
	required := map[string]string{"pod": *s.pod, "namespace": *s.namespace, "service-account": *s.account}
	for name, value := range more {
		required[name] = value
	}
	for name, value := range required {
		if value == "" {
			return sidecar.Config{}, fmt.Errorf("--%s is not set: the container gets it from the pod by its environment", name)
		}
	}
	c := sidecar.Config{
		Namespace: *s.namespace, Pod: *s.pod, ServiceAccount: *s.account, TrustDomain: *s.domain,
		Manager: *s.manager, ManagerName: *s.managerName, Token: enroll.FileToken(*s.token), Roots: sidecar.FileBundle(*s.trust),
		Dial: dial, Drain: proxy.Drain{Max: time.Duration(*s.longest) * time.Second, Quiet: *s.quiet},
		AccessLog: os.Stdout, Log: log, Level: level,
	}
	if *s.cache != "" {
		c.CacheFile = filepath.Join(*s.cache, "config")
	}
	return c, nil
}

// serveItself opens the servers of the proxy itself.
func serveItself(c *sidecar.Config) (err error) {
	if c.Admin, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", mesh.PortAdmin)); err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	if c.Health, err = net.Listen("tcp", fmt.Sprintf(":%d", mesh.PortHealth)); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	return nil
}
