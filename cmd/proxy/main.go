// Command leno-proxy is the data plane: "init" redirects a pod's traffic, "sidecar" serves it; "gateway" serves what comes to a
// Gateway from outside.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

const usage = `usage: leno-proxy <command> [flags]

  sidecar   serve the pod's traffic until SIGTERM, then drain ("run" is the same)
  gateway   serve the ports of a Gateway until SIGTERM, then drain
  init      redirect the pod's TCP traffic to the sidecar (needs NET_ADMIN)
  version   print version and Go version

"leno-proxy <command> -h" lists the flags.
`

func main() {
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	var err error
	switch command {
	case "sidecar", "run":
		err = run(os.Args[2:], sidecarConfig)
	case "gateway":
		err = run(os.Args[2:], gatewayConfig)
	case "init":
		err = runInit(os.Args[2:], os.Stdout)
	case "version":
		fmt.Println(version())
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "leno-proxy "+command+":", err)
		os.Exit(1)
	}
}

// version is what the build recorded: the module's version, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			text += " " + setting.Value
		}
	}
	return text + " " + info.GoVersion
}
