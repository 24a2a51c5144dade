// Command leno-shop is the small shop of the samples: one program that plays each of its services.
//
//	leno-shop serve    answer with who it is and what its upstreams answered (the default)
//	leno-shop load     call a URL at a steady rate and count what comes back
//
// A service is told what it is by its environment:
//
//	SERVICE, VERSION  how it names itself
//	UPSTREAMS         comma list of Service names that it calls for each request
//	HOST, PORT        where it listens (all addresses, 8080)
//	POD_NAME          how its pod is called (the host's name)
//	LINGER            how long it goes on serving after it was told to stop (5s)
//
// An upstream "cart" is dialled at CART_SERVICE_HOST and CART_SERVICE_PORT, which Kubernetes sets for each Service
// that is older than the pod, else at cart:80.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "leno-shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	role := "serve"
	if len(args) > 0 {
		role, args = args[0], args[1:]
	}
	switch role {
	case "serve":
		return serve(ctx, os.Getenv, os.Stdout)
	case "load":
		return load(ctx, args, os.Getenv, os.Stdout)
	}
	return fmt.Errorf("role %q: serve and load are known", role)
}
