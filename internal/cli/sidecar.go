package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/internal/local/sidecar"
)

// sidecarCommand is how "leno run" starts its sidecars.
const sidecarCommand = "sidecar"

func newSidecar() *cobra.Command {
	return &cobra.Command{
		Use:    sidecarCommand,
		Short:  `The sidecar of one pod of "leno run", which starts it`,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return sidecar.Run(ctx, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}
