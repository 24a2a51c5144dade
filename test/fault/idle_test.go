//go:build fault

package fault_test

import (
	"net"
	"testing"
	"time"
)

const (
	// perIdle is what an idle plain connection may cost a sidecar, in bytes of resident memory.
	perIdle = 10 << 10
	// returned is by when the memory must be back after the connections went away, and slack how near, in percent.
	returned = 2 * time.Minute
	slack    = 20
	// runtimeKeeps is what the Go runtime never frees, in bytes for each connection that there was at the same time: its
	// goroutine's descriptor and its place in the poller are kept for the next one.
	runtimeKeeps = 1 << 10
)

// TestIdleConnections: 10,000 clients connect, half of them ask once, and then all say nothing. Each costs at most 10 KiB,
// others are served as before, and two minutes after they went away the memory is back, but for what the runtime keeps.
func TestIdleConnections(t *testing.T) {
	alone(t)
	c := start(t, 0, pair)
	sidecar := c.pods["client"].sidecar
	// The sidecar has served something before: its idle memory is not that of one that has never been used.
	warm := c.dial("server:80")
	warm.echo(t, 2000)
	idle := sidecar.resident(t)
	n := choose(10000, 3000)
	open := make([]net.Conn, 0, n)
	for i := range n {
		client := c.dial("server:80")
		if i%2 == 0 {
			client.echo(t, 1)
		}
		open = append(open, client)
	}
	around := c.bystanders()
	// What a burst needs goes first; the measure is what rests.
	best, bar := 1<<30, n*perIdle>>10
	c.reaches(time.Minute, func() bool {
		best = min(best, sidecar.resident(t)-idle)
		return best <= bar
	})
	t.Logf("%d idle connections: %d KiB over %d KiB, %.1f KiB each", n, best, idle, float64(best)/float64(n))
	if best > bar {
		t.Errorf("%d idle connections cost %d KiB, want %d at most\n%s", n, best, bar, sidecar.ask("/debug/pprof/heap?debug=1"))
	}
	around.unharmed()
	for _, conn := range open {
		_ = conn.Close()
	}
	began, bar := time.Now(), idle+idle*slack/100+n*runtimeKeeps>>10
	now := 0
	c.reaches(returned, func() bool {
		now = sidecar.resident(t)
		return now <= bar
	})
	t.Logf("after %s: %d KiB, %d KiB before", time.Since(began).Round(time.Second), now, idle)
	if now > bar {
		t.Errorf("%s after the connections went away the sidecar has %d KiB, want %d at most\n%s\n%s", returned, now, bar,
			sidecar.ask("/debug/pprof/heap?debug=1"), sidecar.mapped(t))
	}
	c.kept = n * runtimeKeeps
	c.clean()
}

// reaches waits until check holds, or the time is over.
func (c *cluster) reaches(limit time.Duration, check func() bool) {
	deadline := time.Now().Add(limit)
	ticks := time.NewTicker(200 * time.Millisecond)
	defer ticks.Stop()
	for !check() && time.Now().Before(deadline) {
		<-ticks.C
	}
}

// echo makes n requests on the connection.
func (r *raw) echo(t *testing.T, n int) {
	t.Helper()
	for range n {
		r.say(t, "POST /echo HTTP/1.1\r\nHost: server\r\nContent-Length: 5\r\n\r\nhello")
		if got := r.hear("POST"); got.status != 200 || got.body != "hello" {
			t.Fatal(got)
		}
	}
}
