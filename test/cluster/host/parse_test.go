package host

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

const hybrid = `23 22 0:21 / /proc rw - proc proc rw
30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
31 29 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
31 29 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
32 29 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

func TestHierarchies(t *testing.T) {
	hs := parseHierarchies(hybrid)
	if len(hs) != 3 || IsV2(hs) || !hs[2].V2 || !slices.Contains(hs[1].Controllers, "pids") {
		t.Errorf("hybrid machine: %+v", hs)
	}
	if hs := parseHierarchies("30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"); len(hs) != 1 || !IsV2(hs) {
		t.Errorf("v2 machine: %+v", hs)
	}
}

func TestMountsBelow(t *testing.T) {
	got := mountsBelow(`40 1 0:1 / /state/leno/a rw - tmpfs tmpfs rw
41 1 0:1 / /state/leno-2/a rw - tmpfs tmpfs rw
42 40 0:2 / /state/leno/a/with\040space rw - tmpfs tmpfs rw
`, "/state/leno")
	if want := []string{"/state/leno/a", "/state/leno/a/with space"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRecordOfAnotherProcessIsNotAlive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record")
	start, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		p    Process
		want bool
	}{{Process{os.Getpid(), start}, true}, {Process{os.Getpid(), start + 1}, false}} {
		if err := os.WriteFile(file, tc.p.record(), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, alive := ReadProcess(file); alive != tc.want {
			t.Errorf("%+v: alive %t", tc.p, alive)
		}
	}
	// A recycled number must not be killed: this test would not survive it.
	if err := (Process{os.Getpid(), start + 1}).Kill(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}
