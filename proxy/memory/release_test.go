package memory

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var total atomic.Uint64
		var freed atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go release(ctx, total.Load, func() { freed.Add(1) })
		for _, step := range []struct {
			name  string
			each  uint64 // bytes allocated per second
			lasts time.Duration
			want  int64 // releases by the end of it
		}{
			{"idle from the beginning", 0, time.Minute, 0},
			{"busy", 1 << 20, time.Minute, 0},
			{"quiet after that", 0, 2 * every, 1},
			{"quiet for long", 0, time.Hour, 1},
			{"pings now and then", 1 << 10, time.Minute, 1},
			{"busy again", 1 << 20, time.Minute, 1},
			{"almost quiet", 1 << 10, 2 * every, 2},
		} {
			for end := time.Now().Add(step.lasts); time.Now().Before(end); {
				time.Sleep(time.Second)
				total.Add(step.each)
			}
			synctest.Wait()
			if freed.Load() != step.want {
				t.Errorf("%s: %d releases, want %d", step.name, freed.Load(), step.want)
			}
		}
	})
}

func TestAllocatedGrows(t *testing.T) {
	before := allocated()
	sink = make([]byte, 1<<20)
	if now := allocated(); now < before+1<<20 {
		t.Errorf("%d, then %d", before, now)
	}
}

var sink []byte
