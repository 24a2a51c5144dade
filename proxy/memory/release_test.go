package memory

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards now
		now := use{allocated: 1 << 20, goroutines: 20}
		var freed atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go release(ctx, func() use {
			mu.Lock()
			defer mu.Unlock()
			return now
		}, func() { freed.Add(1) })
		for _, step := range []struct {
			name       string
			each       uint64 // bytes allocated per second
			goroutines uint64
			lasts      time.Duration
			want       int64 // releases by the end of it
		}{
			{"busy from the beginning", 1 << 20, 20, time.Minute, 0},
			{"quiet for the first time", 0, 20, 2 * every, 1},
			{"quiet for long", 0, 20, time.Hour, 1},
			{"pings now and then", 1 << 10, 20, time.Minute, 1},
			{"busy again", 1 << 20, 20, time.Minute, 1},
			{"almost quiet", 1 << 10, 20, 2 * every, 2},
			{"many connections that do little", 1 << 10, 5000, time.Minute, 2},
			{"a few of them end", 0, 4950, time.Minute, 2},
			{"they end", 0, 20, 2 * every, 3},
			{"and nothing more", 0, 20, time.Hour, 3},
		} {
			for end := time.Now().Add(step.lasts); time.Now().Before(end); {
				mu.Lock()
				now.allocated += step.each
				now.goroutines = step.goroutines
				mu.Unlock()
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if freed.Load() != step.want {
				t.Errorf("%s: %d releases, want %d", step.name, freed.Load(), step.want)
			}
		}
	})
}

func TestRead(t *testing.T) {
	before := read()
	sink = make([]byte, 1<<20)
	if now := read(); now.allocated < before.allocated+1<<20 || now.goroutines == 0 {
		t.Errorf("%+v, then %+v", before, now)
	}
}

var sink []byte
