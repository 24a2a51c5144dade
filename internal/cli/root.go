// Package cli is the command "leno": one file per subcommand. What is printed is made by pure functions from what the
// mesh's own engine says.
package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/internal/local/manifest"
	"github.com/leno-mesh/leno/internal/local/runner"
)

// New is the root command of a version of the program.
func New(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "leno",
		Short: "Leno, a service mesh for Kubernetes, at the command line",
		Long: `Leno, a service mesh for Kubernetes, at the command line.

What it says comes from the engine that the mesh runs on: the same code, without a cluster.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(newRun(), newInject(), newTranslate(), newRoute(), newVersion(version), newSidecar())
	return root
}

// loadManifests reads what --filename names, prints its mistakes and fails if there are any.
func loadManifests(cmd *cobra.Command, paths []string) ([]manifest.Item, error) {
	if len(paths) == 0 {
		return nil, errors.New(`name manifests with -f: files, folders, or "-" for standard input`)
	}
	loaded, err := runner.Load(paths, cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	for _, problem := range loaded.Problems {
		fmt.Fprintln(cmd.ErrOrStderr(), problem)
	}
	if n := len(loaded.Problems); n > 0 {
		return nil, fmt.Errorf("%d mistakes in the manifests", n)
	}
	return loaded.Items, nil
}

func filenameFlag(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "filename", "f", nil, `manifests: a file, a folder, or "-" for standard input (repeatable)`)
}
