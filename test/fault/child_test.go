//go:build fault

package fault_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/fault/loopback"
)

// child is the process of a sidecar.
type child struct {
	spec   loopback.Spec
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	logs   *os.File
	exited chan struct{} // closed when it has ended
	err    error         // how; read after exited
}

// startChild starts a sidecar, with a command line before it, such as one that enters a namespace.
func startChild(t *testing.T, spec loopback.Spec, before ...string) *child {
	t.Helper()
	line := slices.Concat(before, []string{binary})
	c := &child{spec: spec, cmd: exec.Command(line[0], line[1:]...), exited: make(chan struct{})}
	var err error
	if c.logs, err = os.CreateTemp(t.TempDir(), "log"); err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = c.logs
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	t.Cleanup(func() { c.end(t) })
	if err := json.NewEncoder(c.stdin).Encode(spec); err != nil {
		t.Fatal(err)
	}
	return c
}

// end ends the child at once, and shows what it said if the test failed.
func (c *child) end(t *testing.T) {
	_ = c.stdin.Close()
	select {
	case <-c.exited:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.exited
		t.Errorf("the sidecar of %s does not end with its parent", c.spec.Pod)
	}
	text, err := os.ReadFile(c.logs.Name())
	_ = c.logs.Close()
	if err == nil && (t.Failed() || bytes.Contains(text, []byte("defect while"))) {
		t.Logf("sidecar of %s (%v) said:\n%s", c.spec.Pod, c.err, tail(text, 4000))
	}
	if bytes.Contains(text, []byte("defect while")) {
		t.Errorf("the sidecar of %s panicked", c.spec.Pod)
	}
}

func tail(text []byte, n int) []byte { return text[max(0, len(text)-n):] }

// terminate tells it to drain.
func (c *child) terminate(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// direct is a client for the sidecars' own pages. It keeps no connection, which would be a goroutine there.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// ask gets one of the sidecar's own pages; "" when it does not answer.
func (c *child) ask(path string) string {
	response, err := direct.Get("http://" + c.spec.Admin.String() + path)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

// usage is what a process holds.
type usage struct {
	goroutines, files int
	heap              int // bytes that a garbage collection leaves
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB of heap", u.goroutines, u.files, u.heap>>10)
}

var (
	goroutineTotal = regexp.MustCompile(`goroutine profile: total (\d+)`)
	heapAlloc      = regexp.MustCompile(`# HeapAlloc = (\d+)`)
)

// usage measures, after a garbage collection.
func (c *child) usage(t *testing.T) usage {
	t.Helper()
	u := usage{
		goroutines: number(t, goroutineTotal, c.ask("/debug/pprof/goroutine?debug=1")),
		heap:       number(t, heapAlloc, c.ask("/debug/pprof/heap?gc=1&debug=1")),
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	u.files = len(fds)
	return u
}

func number(t *testing.T, find *regexp.Regexp, text string) int {
	t.Helper()
	found := find.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in a page of the sidecar", find)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var residentKiB = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident is the process's resident memory, in KiB.
func (c *child) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return number(t, residentKiB, string(text))
}

// mapped tells what the resident memory is: of files, of the heap, shared.
func (c *child) mapped(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
