package load

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a worker whose operations are a function.
type fake struct {
	do     func() error
	closed atomic.Bool
}

func (f *fake) Do() error    { return f.do() }
func (f *fake) Close() error { f.closed.Store(true); return nil }

func TestPacedDoesEachOperationOnce(t *testing.T) {
	var done atomic.Int64
	workers := []Worker{&fake{do: func() error { done.Add(1); return nil }}, &fake{do: func() error { done.Add(1); return nil }}}
	seen, err := Paced(workers, 2000, 20*time.Millisecond, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if done.Load() != 140 || seen.Count() != 100 {
		t.Errorf("%d operations, %d of them measured; want 140, 100", done.Load(), seen.Count())
	}
	for _, w := range workers {
		if !w.(*fake).closed.Load() {
			t.Error("a worker was left open")
		}
	}
}

// An operation that stops everything for a while makes those late that were due meanwhile: their latency counts from
// when they were due.
func TestPacedHidesNoWaiting(t *testing.T) {
	const stop = 40 * time.Millisecond
	first := true
	w := &fake{do: func() error {
		if first {
			first = false
			until := time.Now().Add(stop)
			for time.Now().Before(until) {
			}
		}
		return nil
	}}
	seen, err := Paced([]Worker{w}, 1000, 0, 40*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// 40 operations, due 1 ms apart while the first one lasts: half of them wait for at least half of it.
	if median := seen.Quantile(0.5); median < stop/2-2*time.Millisecond {
		t.Errorf("median %v", median)
	}
}

func TestFailuresEndLoops(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Paced([]Worker{&fake{do: func() error { return broken }}}, 1000, 0, 10*time.Millisecond); !errors.Is(err, broken) {
		t.Errorf("paced: %v", err)
	}
	failed := make(chan struct{})
	loop := Closed([]Worker{&fake{do: func() error { defer close(failed); return broken }}})
	<-failed
	loop.Stop()
	if n, err := loop.Done(); n != 0 || err != nil && !errors.Is(err, broken) {
		t.Errorf("closed: %d operations, %v", n, err)
	}
}

func TestClosedCounts(t *testing.T) {
	enough := make(chan struct{})
	n := 0
	loop := Closed([]Worker{&fake{do: func() error {
		if n++; n == 100 {
			close(enough)
		}
		return nil
	}}})
	<-enough
	loop.Stop()
	if done, err := loop.Done(); done < 99 || err != nil {
		t.Errorf("%d operations, %v", done, err)
	}
}

func TestParseHead(t *testing.T) {
	n, err := parseHead([]byte("HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 12\r\n"))
	if n != 12 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
	} {
		if _, err := parseHead([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
