// Package proc runs the programs of a benchmark: each on one core, each ended with the benchmark, each measured from
// outside by what the kernel says about it.
package proc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec is a program to run.
type Spec struct {
	Name string
	Path string
	Args []string
	Env  []string // added to the benchmark's own
	Dir  string   // for the log
	Core int
	// Ready is an address that accepts connections once the program serves; empty: none.
	Ready string
	// Healthy is a URL that answers 200 once it serves well; empty: none.
	Healthy string
}

// Process is a running program and what it started.
type Process struct {
	Name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended
	pids []int
}

// How long a program may take to serve, and to end after SIGTERM.
const (
	startTimeout = 15 * time.Second
	stopTimeout  = 3 * time.Second
)

// Start runs a program on its core and waits until it serves.
func Start(s Spec) (*Process, error) {
	logFile, err := os.CreateTemp(s.Dir, s.Name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }()
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	// A group of its own: the terminal's Ctrl-C reaches only the benchmark, which then ends everything in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := startOn(s.Core, cmd); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	p := &Process{Name: s.Name, log: logFile.Name(), cmd: cmd, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }()
	if err := p.settle(s); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// startOn starts cmd from a thread that is bound to the core: children inherit it.
func startOn(core int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("affinity: %w", err)
	}
	only.Set(core)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("bind to core %d: %w", core, err)
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// settle waits until the program serves, and finds all processes that belong to it.
func (p *Process) settle(s Spec) error {
	limit := time.Now().Add(startTimeout)
	for !s.serves() {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it served: %s", p.Name, p.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%s does not serve at %s %s: %s", p.Name, s.Ready, s.Healthy, p.Log())
		}
	}
	var err error
	p.pids, err = group(p.cmd.Process.Pid)
	return err
}

// serves tells whether the program accepts connections and says that it is well.
func (s Spec) serves() bool {
	if s.Ready != "" {
		conn, err := net.DialTimeout("tcp", s.Ready, time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
	}
	if s.Healthy != "" {
		client := http.Client{Timeout: time.Second}
		answer, err := client.Get(s.Healthy)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	return true
}

// Log is the end of what the program wrote.
func (p *Process) Log() string {
	const most = 2000
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return strings.TrimSpace(string(text))
}

// Stop ends the program and everything in its process group.
func (p *Process) Stop() {
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // what outlived its leader
	<-p.done
}

// Bind keeps all threads of this process, and those to come, on one core.
func Bind(core int) error {
	var only unix.CPUSet
	only.Set(core)
	// Threads may be born while we look; a second look finds them bound already, as children of bound ones.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			var tid int
			if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(tid, &only); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("bind to core %d: %w", core, err)
			}
		}
	}
	return nil
}
