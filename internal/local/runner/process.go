package runner

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// maxLogLine bounds one line of a child's output, in bytes; longer ones are cut into several.
const maxLogLine = 64 << 10

// process is one child with its own process group. It never outlives its parent (see attributes).
type process struct {
	stdin  io.WriteCloser
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; read after exited
	group  int
}

// command is what to start and where its lines go.
type command struct {
	path   string
	args   []string
	env    []string
	stdout func(line string)
	stderr func(line string)
}

// start returns when the child runs.
func start(c command) (*process, error) {
	cmd := exec.Command(c.path, c.args...)
	cmd.Env = c.env
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = time.Second // a grandchild may hold the output open
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.path, err)
	}
	stdout, stderr := lines(c.stdout), lines(c.stderr)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	p := &process{stdin: stdin, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ends the child when the thread that started it ends, so that thread is kept until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			stdout.Close()
			stderr.Close()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.path, err)
	}
	p.group = cmd.Process.Pid
	return p, nil
}

// lines is a writer that hands on whole lines.
func lines(sink func(string)) *io.PipeWriter {
	reader, writer := io.Pipe()
	go func() {
		in := bufio.NewReaderSize(reader, maxLogLine)
		for {
			line, _, err := in.ReadLine()
			if err != nil {
				return
			}
			sink(string(line))
		}
	}()
	return writer
}

// signal reaches the child and what it started. A group that is gone is no error.
func (p *process) signal(s syscall.Signal) {
	if err := syscall.Kill(-p.group, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		_ = syscall.Kill(p.group, s)
	}
}

// stop asks the child to end, and ends it after the grace or when there is a hurry. It returns when the child is gone.
func (p *process) stop(grace time.Duration, hurry <-chan struct{}) {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-hurry:
		p.signal(syscall.SIGKILL)
		<-p.exited
	case <-timer.C:
		p.signal(syscall.SIGKILL)
		<-p.exited
	}
	p.signal(syscall.SIGKILL) // what is left of its group
}
