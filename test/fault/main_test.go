//go:build fault

package fault_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// quick is for those who wait: the same scenarios with smaller numbers, at the same time.
var quick = flag.Bool("quick", false, "smaller numbers")

// files is how many file descriptors the largest scenario needs in one process: 10,000 connections, and room.
const files = 16000

// binary is the sidecar's program.
var binary string

// isolate moves the tests into a network namespace of their own where that was asked for.
var isolate = func() {}

func TestMain(m *testing.M) {
	flag.Parse()
	isolate()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "leno-fault")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := raiseFiles(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "proxy")
	// As the Makefile builds leno-proxy.
	build := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", binary, "./proxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// raiseFiles lets this process and its children open enough files.
func raiseFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < files { // needs CAP_SYS_RESOURCE
		limit.Max = files
	}
	if limit.Cur < files {
		limit.Cur = limit.Max
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("these tests need %d file descriptors per process, raise the limit (ulimit -n): %w", files, err)
	}
	return nil
}

// alone is for the scenarios with thousands of connections: they run one after the other, and only with small numbers
// beside all the others.
func alone(t *testing.T) {
	if *quick {
		t.Parallel()
	}
}

// choose picks a number for the mode.
func choose[N any](whole, quickly N) N {
	if *quick {
		return quickly
	}
	return whole
}
