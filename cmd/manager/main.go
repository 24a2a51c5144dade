// Command leno-manager is the operator and control plane of Leno.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/leno-mesh/leno/controllers"
)

// version is set by the build.
var version = "development"

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		slog.Error("leno-manager ends", "error", err.Error())
		os.Exit(1)
	}
}

func run(args []string) error {
	var c controllers.Config
	var level slog.Level
	flags := flag.NewFlagSet("leno-manager", flag.ContinueOnError)
	flags.StringVar(&c.ProxyAddress, "proxy-address", ":15010", "where proxies connect for configuration and certificates")
	flags.IntVar(&c.WebhookPort, "webhook-port", 9443, "port of the admission webhook; -1: none")
	flags.StringVar(&c.HealthAddress, "health-address", ":8081", "where /livez and /readyz are served")
	flags.StringVar(&c.MetricsAddress, "metrics-address", ":8443", "where /metrics is served to those whom RBAC allows it; 0: nowhere")
	flags.BoolVar(&c.LeaderElection, "leader-election", true, "let one replica write; false only where there is a single one")
	flags.DurationVar(&c.RootPropagation, "root-propagation", 5*time.Minute, "how long a new root certificate is spread before it signs")
	flags.TextVar(&level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	linger := flags.Duration("linger", 5*time.Second, "how long to go on after SIGTERM, until the Service has stopped sending")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *showVersion {
		fmt.Println("leno-manager", version)
		return nil
	}
	handler := slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})
	slog.SetDefault(slog.New(handler))
	ctrl.SetLogger(logr.FromSlogHandler(handler))
	klog.SetLogger(logr.FromSlogHandler(handler))

	rc, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no access to a cluster (set KUBECONFIG, or run in a pod): %w", err)
	}
	rc.QPS, rc.Burst = 100, 200
	manager, err := controllers.New(rc, c)
	if err != nil {
		return err
	}
	slog.Info("leno-manager starts", "version", version)
	return manager.Start(lingering(ctrl.SetupSignalHandler(), *linger))
}

// lingering ends some time after its parent. The Service learns that a pod is going when the pod does: until that has
// spread, connections and admission requests still come in, and a refused one holds somebody's pod.
func lingering(parent context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	context.AfterFunc(parent, func() { time.AfterFunc(d, cancel) })
	return ctx
}
