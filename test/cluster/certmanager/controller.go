package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cert-manager/cert-manager/pkg/controller"
	gateways "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/gateways"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

// workers per control loop, as upstream's default.
const workers = 5

// runController runs the imported control loops. Leader election is not there, so one replica is all.
func runController(ctx context.Context, args []string) error {
	flags := newFlags("controller")
	namespace := flags.String("cluster-resource-namespace", "cert-manager", "where ClusterIssuers keep their secrets")
	choice := flags.StringSlice("controllers", []string{"*"}, "control loops; -name leaves one out")
	gatewayAPI := flags.Bool("enable-gateway-api", false, "make Certificates for annotated Gateways")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !*gatewayAPI {
		*choice = append(*choice, "-"+gateways.ControllerName)
	}
	opts := controller.ContextOptions{
		EnableGatewayAPI: *gatewayAPI,
		IssuerOptions:    controller.IssuerOptions{ClusterResourceNamespace: *namespace, ClusterIssuerAmbientCredentials: true},
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
	}
	factory, err := controller.NewContextFactory(ctx, opts)
	if err != nil {
		return fmt.Errorf("clients: %w", err)
	}
	base, err := factory.Build()
	if err != nil {
		return fmt.Errorf("clients: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range enabled(controller.Known(), *choice) {
		loop, err := controller.Known()[name](factory)
		if err != nil {
			return fmt.Errorf("control loop %s: %w", name, err)
		}
		group.Go(func() error { return loop.Run(workers, ctx) })
	}
	base.SharedInformerFactory.Start(ctx.Done())
	base.KubeSharedInformerFactory.Start(ctx.Done())
	if *gatewayAPI {
		base.GWShared.Start(ctx.Done())
	}
	group.Go(func() error { return serveHealth(ctx) })
	metrics, err := net.Listen("tcp", ":9402")
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	group.Go(func() error { return serve(ctx, base.Metrics.NewServer(metrics), metrics) })
	return group.Wait()
}

// enabled lists the known control loops that the choice does not leave out, sorted.
func enabled[T any](known map[string]T, choice []string) []string {
	var names []string
	for name := range known {
		if !slices.Contains(choice, "-"+name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func serveHealth(ctx context.Context) error {
	l, err := net.Listen("tcp", ":9403")
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/livez") {
			http.NotFound(w, r)
		}
	})
	return serve(ctx, &http.Server{Handler: ok, ReadHeaderTimeout: 10 * time.Second}, l)
}

func serve(ctx context.Context, server *http.Server, l net.Listener) error {
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}
