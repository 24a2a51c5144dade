package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage of the machine so far.
type usage struct {
	at   time.Time
	busy time.Duration // of all cores, by everybody
	own  time.Duration // by us and the programs that we have started and that have ended
}

// now looks at the clock of the kernel. Programs of ours that still run are not in own.
func now() (usage, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, err
	}
	u := usage{at: time.Now()}
	if u.busy, err = parseBusy(string(text)); err != nil {
		return usage{}, err
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			return usage{}, fmt.Errorf("getrusage: %w", err)
		}
		u.own += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return u, nil
}

// others is the part of the machine's time since before that neither we nor our programs have used.
func (u usage) others(before usage) float64 {
	whole := u.at.Sub(before.at) * time.Duration(runtime.NumCPU())
	return max(0, float64((u.busy-before.busy)-(u.own-before.own))/float64(whole))
}

// tick is the unit of /proc/stat: USER_HZ is 100 on all architectures that Go knows.
const tick = 10 * time.Millisecond

// parseBusy adds up the first line of /proc/stat, "cpu user nice system idle iowait irq softirq steal ...", without the
// two kinds of idleness.
func parseBusy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %.100q", line)
	}
	var busy time.Duration
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 3 && i != 4 {
			busy += time.Duration(n) * tick
		}
	}
	return busy, nil
}
