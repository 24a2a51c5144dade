package main

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitFiles hold the container's memory limit in bytes: cgroup v2, v1.
var limitFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// limitMemory tells the garbage collector about the container's limit, so that it works harder before the kernel kills.
// A tenth is left for what it does not see. GOMEMLIMIT in the environment wins.
func limitMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, path := range limitFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if limit, ok := parseLimit(string(text)); ok {
			debug.SetMemoryLimit(limit / 10 * 9)
			log.Debug("memory limit from cgroup", "file", path, "bytes", limit)
		}
		return
	}
}

// parseLimit reads a limit; false when there is none ("max", or cgroup v1's largest number).
func parseLimit(text string) (int64, bool) {
	limit, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return limit, err == nil && limit > 0 && limit < math.MaxInt64/2
}
