package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// hand gives out the operations when they are due. It sleeps in the kernel on a thread of its own: the runtime's timers
// are up to a millisecond late when all goroutines wait for the network.
func (p *pace) hand(queues []chan time.Time) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// 1 ns of slack instead of 50 µs; a kernel without it is only less exact.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	p.start = time.Now()
	total := int(p.rate * (p.warm + p.span).Seconds())
	for i := range total {
		due := p.start.Add(time.Duration(float64(i) / p.rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			t := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&t, nil) // woken early by a signal: the operation is a little early, once
		}
		queues[i%len(queues)] <- due
	}
	for _, q := range queues {
		close(q)
	}
}
