package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/leno-mesh/leno/proxy/memory"
)

// limitMemory tells the garbage collector about the container's limit, so that it works harder before the kernel kills.
// A tenth is left for what it does not see. GOMEMLIMIT in the environment wins.
func limitMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit, file, ok := memory.Limit(os.DirFS("/")); ok {
		debug.SetMemoryLimit(limit / 10 * 9)
		log.Debug("memory limit from cgroup", "file", file, "bytes", limit)
	}
}
