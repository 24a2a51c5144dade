package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/internal/local/runner"
)

func newRun() *cobra.Command {
	var paths []string
	cmd := &cobra.Command{
		Use:   "run -f DIR",
		Short: "Run manifests on this machine: the real mesh, without a cluster and without root",
		Long: `Run manifests on this machine: the real mesh, without a cluster and without root.

Deployments, Services, Gateways, routes, policies and the Mesh are taken as in a cluster. Each Gateway is a real proxy, and
each pod of a Deployment a local command with a real sidecar beside it. The command stands in an annotation of the pod template:

    mesh.leno.dev/run: "python3 -m http.server --bind $HOST $PORT"

It must listen on the address in HOST, and finds Services by the variables that Kubernetes sets (CART_SERVICE_HOST,
CART_SERVICE_PORT). Each Service and each pod has an address of its own in 127.0.0.0/8. The files are watched: save an
HTTPRoute, and the traffic moves.`,
		Example: "  leno run -f config/samples/shop",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return run(ctx, cmd, paths)
		},
	}
	filenameFlag(cmd, &paths)
	_ = cmd.MarkFlagRequired("filename") // it is there
	return cmd
}

func run(ctx context.Context, cmd *cobra.Command, paths []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program itself, which is the sidecar too: %w", err)
	}
	return runner.Run(ctx, runner.Options{
		Paths: paths, Stdin: cmd.InOrStdin(), Out: cmd.OutOrStdout(),
		Sidecar: []string{self, sidecarCommand},
		// Commands of the samples are built into the folder of this program.
		Path: filepath.Dir(self) + string(os.PathListSeparator) + os.Getenv("PATH"),
		Log:  slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}
