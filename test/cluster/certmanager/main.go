// Command certmanager is cert-manager for the test cluster: its own control loops, CA injector and webhook, assembled from its
// module because the modules of its commands are published nowhere. Which program it is follows from the name it is called by.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

var programs = map[string]func(ctx context.Context, args []string) error{
	"controller": runController,
	"cainjector": runCAInjector,
	"webhook":    runWebhook,
	"manifests":  printManifests,
}

func main() {
	name := filepath.Base(os.Args[0])
	run, ok := programs[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "certmanager: called as %q; call it controller, cainjector, webhook or manifests\n", name)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := klog.Background().WithName(name)
	ctrl.SetLogger(log)
	if err := run(logf.NewContext(ctx, log), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// newFlags knows the log level and passes over what the chart sets and these programs do not have, leader election say.
func newFlags(program string) *pflag.FlagSet {
	flags := pflag.NewFlagSet(program, pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	var logging flag.FlagSet
	klog.InitFlags(&logging)
	flags.AddGoFlag(logging.Lookup("v"))
	return flags
}
