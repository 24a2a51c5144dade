package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Hierarchy is one mounted cgroup tree.
type Hierarchy struct {
	Mount       string
	V2          bool
	Controllers []string // of a v1 hierarchy
}

// Hierarchies lists the machine's cgroup mounts: one of v2, or v1 with a tree per controller.
func Hierarchies() ([]Hierarchy, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cgroup mounts: %w", err)
	}
	return parseHierarchies(string(raw)), nil
}

func parseHierarchies(mountinfo string) []Hierarchy {
	var out []Hierarchy
	seen := map[string]bool{}
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		pre, post := strings.Fields(before), strings.Fields(after)
		if !ok || len(pre) < 5 || len(post) < 3 || seen[pre[4]] {
			continue
		}
		switch post[0] {
		case "cgroup2":
			out = append(out, Hierarchy{Mount: pre[4], V2: true})
		case "cgroup":
			out = append(out, Hierarchy{Mount: pre[4], Controllers: strings.Split(post[2], ",")})
		default:
			continue
		}
		seen[pre[4]] = true
	}
	return out
}

// IsV2 tells whether resource control is cgroup v2's; a v2 tree without controllers beside v1 is not.
func IsV2(hs []Hierarchy) bool {
	return !slices.ContainsFunc(hs, func(h Hierarchy) bool { return !h.V2 })
}

// MakeCgroup creates the cgroup in every hierarchy, with the controllers usable below it.
func MakeCgroup(path string) error {
	hs, err := Hierarchies()
	if err != nil {
		return err
	}
	if len(hs) == 0 {
		return errors.New("no cgroup file system is mounted: mount cgroup2 on /sys/fs/cgroup")
	}
	for _, h := range hs {
		parts := strings.Split(strings.Trim(path, "/"), "/")
		for i := range parts {
			parent := filepath.Join(append([]string{h.Mount}, parts[:i]...)...)
			dir := filepath.Join(parent, parts[i])
			if h.V2 {
				enableControllers(parent)
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("cgroup %s: %w", dir, err)
			}
			if slices.Contains(h.Controllers, "cpuset") {
				if err := inheritCPUSet(parent, dir); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// enableControllers passes on what the parent has. One that cannot be passed on is a limit the kubelet will name.
func enableControllers(parent string) {
	raw, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(raw)) {
		_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+c), 0o644)
	}
}

// inheritCPUSet fills a new v1 cpuset, which starts empty and cannot hold a process so.
func inheritCPUSet(parent, dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return fmt.Errorf("cgroup %s: %w", parent, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return fmt.Errorf("cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// joinCgroup moves a process into the cgroup of one hierarchy, the one that exists everywhere: v2's, else pids.
func joinCgroup(path string, pid int) error {
	hs, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hs {
		if h.V2 || slices.Contains(h.Controllers, "pids") {
			file := filepath.Join(h.Mount, path, "cgroup.procs")
			if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o644); err != nil {
				return fmt.Errorf("join cgroup: %w", err)
			}
		}
	}
	return nil
}

// RemoveCgroup kills every process in the cgroup and below and removes it from all hierarchies. It returns how many
// processes it met.
func RemoveCgroup(path string, deadline time.Duration) (int, error) {
	hs, err := Hierarchies()
	if err != nil {
		return 0, err
	}
	killed := map[int]bool{}
	for end := time.Now().Add(deadline); ; time.Sleep(20 * time.Millisecond) {
		left := 0
		for _, h := range hs {
			for _, pid := range processesBelow(filepath.Join(h.Mount, path)) {
				left++
				killed[pid] = true
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			return len(killed), fmt.Errorf("cgroup %s: %d processes do not end (uninterruptible?)", path, left)
		}
	}
	for _, h := range hs {
		if err := removeTree(filepath.Join(h.Mount, path)); err != nil {
			return len(killed), fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return len(killed), nil
}

func processesBelow(dir string) []int {
	var pids []int
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() { // cgroups vanish while we look
			pids = append(pids, processesIn(path)...)
		}
		return nil
	})
	return pids
}

func processesIn(dir string) []int {
	var pids []int
	raw, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for field := range strings.FieldsSeq(string(raw)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// removeTree removes a cgroup and those below it, deepest first; a cgroup's files cannot be removed, only the folder.
func removeTree(dir string) error {
	var dirs []string
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, d := range slices.Backward(dirs) {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
