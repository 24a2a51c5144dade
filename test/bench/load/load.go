// Package load drives a proxy: closed loops, in which each worker starts its next operation when the last has ended, for
// costs; and open loops at a fixed rate, for latencies.
package load

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Worker does one operation after the other. Close may be called while Do runs, which then fails.
type Worker interface {
	// Do does one operation, and checks its result.
	Do() error
	io.Closer
}

// CloseAll ends workers.
func CloseAll(workers []Worker) {
	for _, w := range workers {
		_ = w.Close()
	}
}

// Loop is a closed loop that runs.
type Loop struct {
	workers []Worker
	running sync.WaitGroup
	done    atomic.Int64
	stopped atomic.Bool
	failed  failure
}

// failure keeps the first error.
type failure struct {
	mu  sync.Mutex // guards err
	err error
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Closed starts a closed loop. It owns the workers.
func Closed(workers []Worker) *Loop {
	l := &Loop{workers: workers}
	for _, w := range workers {
		l.running.Go(func() {
			for !l.stopped.Load() {
				if err := w.Do(); err != nil {
					if !l.stopped.Load() {
						l.failed.set(err)
					}
					return
				}
				l.done.Add(1)
			}
		})
	}
	return l
}

// Done is how many operations have ended so far, and the first error.
func (l *Loop) Done() (int64, error) { return l.done.Load(), l.failed.get() }

// stopGrace is for operations that are under way when a loop is stopped; their connections are cut then.
const stopGrace = 2 * time.Second

// Stop ends the loop, its workers too.
func (l *Loop) Stop() {
	l.stopped.Store(true)
	cut := time.AfterFunc(stopGrace, func() { CloseAll(l.workers) })
	l.running.Wait()
	cut.Stop()
	CloseAll(l.workers)
}

// Paced does operations at a fixed rate per second, handed to the workers in turn, for warm and then for span. Each
// latency of the span counts from the moment at which the operation was due, also when its worker or the generator was
// late: what a client that keeps its pace would see (no coordinated omission). It owns the workers.
func Paced(workers []Worker, rate float64, warm, span time.Duration) (*Histogram, error) {
	p := &pace{rate: rate, warm: warm, span: span, seen: &Histogram{}}
	queues := make([]chan time.Time, len(workers))
	for i, w := range workers {
		queues[i] = make(chan time.Time, int(rate*(warm+span).Seconds())/len(workers)+1)
		p.running.Go(func() { p.work(w, queues[i]) })
	}
	p.hand(queues)
	// A proxy that cannot keep the pace has a queue to work off; it must not last for ever.
	cut := time.AfterFunc(stopGrace+span, func() {
		p.failed.set(fmt.Errorf("operations at %.0f per second are not done %v after the last one was due", rate, stopGrace+span))
		CloseAll(workers)
	})
	p.running.Wait()
	cut.Stop()
	CloseAll(workers)
	if err := p.failed.get(); err != nil {
		return nil, err
	}
	if p.seen.Count() == 0 {
		return nil, errors.New("no operation was measured: rate or duration is too small")
	}
	return p.seen, nil
}

type pace struct {
	rate       float64
	warm, span time.Duration
	start      time.Time
	seen       *Histogram
	running    sync.WaitGroup
	failed     failure
}

func (p *pace) work(w Worker, due <-chan time.Time) {
	for at := range due {
		if err := w.Do(); err != nil {
			p.failed.set(err)
			return
		}
		if at.Sub(p.start) >= p.warm {
			p.seen.Add(time.Since(at))
		}
	}
}
