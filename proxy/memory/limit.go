// Package memory keeps a proxy within the memory of its container, and gives back what it does not need.
package memory

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// Limit reads the memory limit of this process's cgroup in bytes; false when there is none. root is the file system from
// its root on. Limits of groups above count too: the smallest is what the kernel enforces. (GOMAXPROCS follows the
// cgroup's CPU limit without our help since Go 1.25.)
func Limit(root fs.FS) (limit int64, file string, ok bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		groups = []byte("0::/\n0:memory:/\n")
	}
	for line := range strings.Lines(string(groups)) {
		mount, name, group, known := hierarchy(strings.TrimSuffix(line, "\n"))
		if !known {
			continue
		}
		// In a container the group may be named as the host sees it, while the mount begins at the container's own:
		// then only the root is there, and it is the right one.
		for ; ; group = path.Dir(group) {
			candidate := path.Join(mount, group, name)
			text, err := fs.ReadFile(root, candidate)
			if err == nil {
				if one, set := parse(string(text)); set && (!ok || one < limit) {
					limit, file, ok = one, candidate, true
				}
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return limit, file, ok
}

// hierarchy tells where a line of /proc/self/cgroup leads (cgroups(7)): "0::/group" for version 2, "n:controllers:/group"
// for version 1.
func hierarchy(line string) (mount, name, group string, known bool) {
	fields := strings.SplitN(line, ":", 3)
	if len(fields) != 3 || !path.IsAbs(fields[2]) {
		return "", "", "", false
	}
	group = path.Clean(fields[2])
	if fields[1] == "" {
		return "sys/fs/cgroup", "memory.max", group, true
	}
	for controller := range strings.SplitSeq(fields[1], ",") {
		if controller == "memory" {
			return "sys/fs/cgroup/memory", "memory.limit_in_bytes", group, true
		}
	}
	return "", "", "", false
}

// parse reads a limit; false when there is none ("max", or the largest number of version 1).
func parse(text string) (int64, bool) {
	limit, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return limit, err == nil && limit > 0 && limit < math.MaxInt64/2
}
