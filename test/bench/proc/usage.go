package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the time that the processes have used so far, user and system, with all their threads, also ended ones. The
// kernel counts it in nanoseconds; /proc/<pid>/stat would round to ticks of 10 ms.
func CPU(processes ...*Process) (time.Duration, error) {
	var sum time.Duration
	for _, p := range processes {
		for _, pid := range p.pids {
			var t unix.Timespec
			if err := unix.ClockGettime(cpuClock(pid), &t); err != nil {
				return 0, fmt.Errorf("CPU time of %s (%d): %w: %s", p.Name, pid, err, p.Log())
			}
			sum += time.Duration(t.Nano())
		}
	}
	return sum, nil
}

// cpuClock is the id of a process's CPU clock: bits 3 and up hold the inverted process id, 2 is CPUCLOCK_SCHED
// (clock_getcpuclockid(3) gives the same).
func cpuClock(pid int) int32 { return int32(^pid)<<3 | 2 }

// RSS is the memory in RAM of the processes together, in bytes. Pages that they share are counted for each.
func RSS(processes ...*Process) (int64, error) {
	var sum int64
	for _, p := range processes {
		for _, pid := range p.pids {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil {
				return 0, fmt.Errorf("memory of %s: %w", p.Name, err)
			}
			one, err := parseRSS(string(text))
			if err != nil {
				return 0, fmt.Errorf("memory of %s: %w", p.Name, err)
			}
			sum += one
		}
	}
	return sum, nil
}

// parseRSS reads VmRSS of /proc/<pid>/status, which is in KiB whatever it says.
func parseRSS(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("VmRSS: %w", err)
			}
			return n << 10, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS in status: the process has ended")
}

// group lists the processes of a process group.
func group(leader int) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // has just ended
		}
		pid, pgrp, err := parseStat(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if pgrp == leader {
			found = append(found, pid)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("process group %d has ended", leader)
	}
	return found, nil
}

// parseStat reads process id and group from /proc/<pid>/stat: "12 (name) S 1 12 ...". Names may hold blanks and
// parentheses, so the fields are counted from the last parenthesis.
func parseStat(text string) (pid, pgrp int, err error) {
	head, _, ok := strings.Cut(text, " (")
	end := strings.LastIndex(text, ") ")
	if !ok || end < 0 {
		return 0, 0, fmt.Errorf("not a stat line: %.100q", text)
	}
	fields := strings.Fields(text[end+2:])
	if len(fields) < 3 {
		return 0, 0, fmt.Errorf("short stat line: %.100q", text)
	}
	if pid, err = strconv.Atoi(head); err != nil {
		return 0, 0, err
	}
	pgrp, err = strconv.Atoi(fields[2])
	return pid, pgrp, err
}
