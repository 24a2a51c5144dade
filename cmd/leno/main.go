// Command leno is Leno at the command line: see internal/cli.
package main

import (
	"fmt"
	"os"

	"github.com/leno-mesh/leno/internal/cli"
)

// version is set by the linker.
var version = "devel"

func main() {
	if err := cli.New(version).Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "leno:", err)
		os.Exit(1)
	}
}
