// Command proxy is the process of one sidecar for tests of faults. It reads a loopback.Spec as JSON, drains at SIGTERM,
// and ends with its standard input, so that it does not outlive its parent.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/leno-mesh/leno/test/fault/loopback"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var spec loopback.Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, end := context.WithCancel(terminated)
	defer end()
	abort, cut := context.WithCancel(context.Background())
	defer cut()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		end()
		cut()
	}()
	return loopback.Run(ctx, abort, spec, os.Stderr)
}
