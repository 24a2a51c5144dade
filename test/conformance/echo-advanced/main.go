// Command echo-advanced stands in for registry.k8s.io/gateway-api/conformance/echo-advanced: the echo server of the
// mesh tests of the Gateway API conformance suite and the client that the suite executes inside the same container.
// Which of the two it is depends on the name it is started by: "client", or anything else for the server.
//
// The original image is built from Istio's test application; this program was written from what the suite sends to it and
// reads from its output, and shares no code with it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	run := serve
	if filepath.Base(os.Args[0]) == "client" {
		run = call
	}
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(1)
	}
}
