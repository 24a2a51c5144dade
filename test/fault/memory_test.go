//go:build fault

package fault_test

import (
	"sync"
	"testing"
	"time"
)

// What a sidecar may have in resident memory, in KiB: idle, and at 2,000 requests per second.
const (
	idleBar   = 15 << 10
	loadedBar = 26 << 10
)

// TestMemory: a sidecar that has nothing to do, then one with 2,000 requests per second over 32 connections to another
// sidecar.
func TestMemory(t *testing.T) {
	alone(t)
	c := start(t, 0, pair)
	sidecar := c.pods["client"].sidecar
	now := 0
	c.reaches(patience, func() bool { now = sidecar.resident(t); return now <= idleBar })
	t.Logf("idle: %d KiB", now)
	if now > idleBar {
		t.Errorf("an idle sidecar has %d KiB, want %d at most\n%s", now, idleBar, sidecar.mapped(t))
	}
	most, rate := c.load(choose(20*time.Second, 5*time.Second), sidecar)
	t.Logf("at %.0f requests per second: %d KiB", rate, most)
	if most > loadedBar {
		t.Errorf("at %.0f requests per second a sidecar has %d KiB, want %d at most", rate, most, loadedBar)
	}
	c.clean()
}

// load makes 2,000 requests per second, and returns the most memory that the sidecar had, and the rate that was reached.
func (c *cluster) load(lasts time.Duration, sidecar *child) (most int, rate float64) {
	c.t.Helper()
	const connections, each = 32, 2000 / 32
	began := time.Now()
	until := began.Add(lasts)
	var running sync.WaitGroup
	for range connections {
		client := c.dial("server:80")
		client.echo(c.t, 1)
		running.Go(func() {
			ticks := time.NewTicker(time.Second / each)
			defer ticks.Stop()
			for time.Now().Before(until) {
				<-ticks.C
				client.echo(c.t, 1)
			}
		})
	}
	for time.Now().Before(until) {
		most = max(most, sidecar.resident(c.t))
		c.reaches(100*time.Millisecond, func() bool { return false })
	}
	running.Wait()
	return most, float64(c.pods["server"].app.requests.Load()) / time.Since(began).Seconds()
}
