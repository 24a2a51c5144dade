package proc

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A program and what it has started run on their core, are measured together, and end together.
func TestStartAndStop(t *testing.T) {
	var ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		t.Fatal(err)
	}
	core := 0
	for !ours.IsSet(core) { // the first core that we may use
		core++
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p, err := Start(Spec{Name: "shell", Path: "/bin/sh", Args: []string{"-c", "sleep 100 & echo started; wait"}, Dir: t.TempDir(), Core: core, Ready: listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); !strings.Contains(p.Log(), "started"); {
		if time.Now().After(limit) {
			t.Fatal("the shell does not run")
		}
	}
	members, err := group(p.cmd.Process.Pid)
	if err != nil || len(members) != 2 {
		t.Fatalf("processes %v, %v; want the shell and its child", members, err)
	}
	for _, pid := range members {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(pid, &set); err != nil || set.Count() != 1 || !set.IsSet(core) {
			t.Errorf("process %d runs on %d cores, %v", pid, set.Count(), err)
		}
	}
	p.Stop()
	for limit := time.Now().Add(10 * time.Second); ; {
		err := syscall.Kill(-p.cmd.Process.Pid, 0)
		if errors.Is(err, syscall.ESRCH) {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the group has not ended: %v", err)
		}
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	_, err := Start(Spec{Name: "shell", Path: "/bin/sh", Args: []string{"-c", "echo no such thing; exit 3"}, Dir: t.TempDir(), Ready: "127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("%v", err)
	}
}
