package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is a program to run inside a cluster.
type Command struct {
	NetNS  string   // "" stays outside
	Cgroup string   // absolute within the hierarchy; "" stays where it is
	Path   string   // absolute path of the binary
	Args   []string // Args[0] is the name the program is called by
	Env    []string // the whole environment
}

// LaunchVerb is the hidden first argument by which this binary calls itself to enter a namespace and become Command.
const LaunchVerb = "launch-inside"

// Wrap makes the command line that runs c by way of Launch.
func Wrap(c Command) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("own binary: %w", err)
	}
	cmd := exec.Command(self, append([]string{LaunchVerb, c.NetNS, c.Cgroup, c.Path}, c.Args...)...)
	cmd.Env = c.Env
	return cmd, nil
}

// Launch is the other half of Wrap: it replaces this process by the command. It returns only to report an error.
func Launch(args []string) error {
	if len(args) < 4 {
		return errors.New(LaunchVerb + " is internal")
	}
	netns, cgroup, path, argv := args[0], args[1], args[2], args[3:]
	if cgroup != "" {
		if err := joinCgroup(cgroup, os.Getpid()); err != nil {
			return err
		}
	}
	runtime.LockOSThread() // exec keeps the namespaces of the calling thread
	if netns != "" {
		if err := setns(NetNSPath(netns)); err != nil {
			return fmt.Errorf("enter network namespace %s (is the cluster up?): %w", netns, err)
		}
	}
	return fmt.Errorf("run %s: %w", path, unix.Exec(path, argv, os.Environ()))
}

// Process is a recorded daemon. A process number alone may have been given to somebody else, with its start time it may not.
type Process struct {
	PID   int
	Start uint64 // clock ticks since boot, field 22 of /proc/PID/stat
}

// Start runs c as a daemon: its own session, output appended to logFile, recorded in recordFile.
func Start(c Command, logFile, recordFile string) error {
	cmd, err := Wrap(c)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log of %s: %w", c.Args[0], err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = filepath.Dir(logFile)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once, see %s: %w", c.Args[0], logFile, err)
	}
	// A zombie of ours would look alive to others for as long as this process lives.
	go cmd.Wait() //nolint:errcheck // the log tells why it ended
	return os.WriteFile(recordFile, Process{cmd.Process.Pid, start}.record(), 0o644)
}

func (p Process) record() []byte { return fmt.Appendf(nil, "%d %d\n", p.PID, p.Start) }

// ReadProcess reads a record; ok is false when there is none or the process is gone.
func ReadProcess(recordFile string) (p Process, ok bool) {
	raw, err := os.ReadFile(recordFile)
	if err != nil {
		return p, false
	}
	if _, err := fmt.Sscan(string(raw), &p.PID, &p.Start); err != nil {
		return p, false
	}
	return p, p.alive()
}

// alive tells whether the recorded process, and not another one of its number, runs.
func (p Process) alive() bool {
	start, err := startTime(p.PID)
	return err == nil && start == p.Start
}

// startTime is an error for a process that is gone or a zombie.
func startTime(pid int) (uint64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the command name in parentheses and may hold anything, parentheses too.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Kill ends the process with the signal if it is still the recorded one.
func (p Process) Kill(signal syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end process %d: %w", p.PID, err)
	}
	return nil
}
