//go:build fault

package fault_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/leno-mesh/leno/internal/local"
)

// shortLived is a lifetime of certificates that are renewed every other second: they begin as long before now as they end
// after, and two thirds of that is the time to renew.
const shortLived = 6 * time.Second

// versions is a client and two versions of a server behind one Service, and behind one each.
var versions = deployment("client", "client") + deployment("server-a", "server") + deployment("server-b", "server") +
	service("server", "app: server") + service("server-a", "version: server-a") + service("server-b", "version: server-b")

// split sends shares of the requests at the HTTP port to the two versions.
func split(a, b int) string {
	return route("split", "80", fmt.Sprintf(
		`{name: split, backendRefs: [{name: server-a, port: 80, weight: %d}, {name: server-b, port: 80, weight: %d}]}`, a, b))
}

// crowd opens n streams of all kinds to the Service "server".
func (c *cluster) crowd(n int) *streams {
	c.t.Helper()
	kinds := []struct {
		name string
		dial func(i int) (stream, error)
	}{
		{"websocket", func(int) (stream, error) { return dialWebSocket(c.way("server:80")) }},
		{"tcp", func(int) (stream, error) { return dialTCP(c.way("server:7000")) }},
		{"server-first", func(int) (stream, error) { return dialFirst(c.way("server:9000")) }},
	}
	all := map[string][]stream{}
	for i := range n * 3 / 5 {
		kind := kinds[i%len(kinds)]
		one, err := kind.dial(i)
		if err != nil {
			c.t.Fatalf("%s: %v", kind.name, err)
		}
		all[kind.name] = append(all[kind.name], one)
	}
	var channels []*grpc.ClientConn
	for range 10 {
		channels = append(channels, dialGRPC(c.t, c.way("server:9090")))
	}
	for i := range n - n*3/5 {
		one, err := callGRPC(channels[i%len(channels)])
		if err != nil {
			c.t.Fatalf("grpc: %v", err)
		}
		all["grpc"] = append(all["grpc"], one)
	}
	talking := talk(c.t, time.Second, all)
	for _, channel := range channels {
		talking.after = append(talking.after, func() { _ = channel.Close() })
	}
	return talking
}

// more waits until every stream has had about n further answers, or one failed.
func (c *cluster) more(s *streams, n int64) {
	c.t.Helper()
	until := s.messages.Load() + n
	c.eventually("the streams go on", func() bool { return s.messages.Load() >= until || s.broken() > 0 })
}

// TestStreamsOutliveChanges: 1,000 WebSocket, gRPC and TCP streams live on while the configuration is replaced 1,000
// times, routes and endpoints, certificates are renewed 10 times on both sides, and the control plane is killed and
// replaced by one with other news. None is closed, and no message is lost, doubled or late.
func TestStreamsOutliveChanges(t *testing.T) {
	alone(t)
	c := start(t, shortLived, versions, split(50, 50))
	n, swaps, renewals := choose(1000, 300), choose(1000, 200), choose(10, 3)
	talking := c.crowd(n)
	requests := talk(t, 20*time.Millisecond, map[string][]stream{"http": {newRequests(c.way("server:80")), newRequests(c.way("server:80"))}})
	c.more(talking, int64(n))

	var counting sync.WaitGroup
	renewed := make(map[string]int)
	done := make(chan struct{})
	var mu sync.Mutex // guards renewed
	for owner, p := range c.pods {
		counting.Go(func() { p.countRenewals(done, func() { mu.Lock(); renewed[owner]++; mu.Unlock() }) })
	}
	began := time.Now()
	c.swap(swaps, talking)
	t.Logf("%d configurations in %s", swaps, time.Since(began).Round(time.Millisecond))

	c.stop() // the control plane dies, with all its streams
	c.more(talking, int64(n))
	c.startPlane(c.plane)
	c.apply(versions, split(0, 100))
	before := c.pods["server-b"].app.requests.Load()
	c.eventually("the new control plane is heard", func() bool { return c.pods["server-b"].app.requests.Load() >= before+50 })

	c.within(time.Duration(renewals)*shortLived+patience, "certificates are renewed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for owner := range c.pods {
			if renewed[owner] < renewals {
				return talking.broken() > 0
			}
		}
		return true
	})
	c.more(talking, int64(n))
	close(done)
	counting.Wait()
	t.Logf("renewals: %v", renewed)
	requests.unharmed()
	talking.unharmed()
	c.clean()
}

// swap replaces the configuration n times, each when the sidecars have taken the one before: the weights each time, and
// every tenth time the second version's endpoints come or go.
func (c *cluster) swap(n int, talking *streams) {
	c.t.Helper()
	updates := c.pods["client"].updates(c.t)
	for i := range n {
		acks := c.plane.XDS().Stats().Acks
		if i%10 == 9 {
			c.phases[c.pods["server-b"].Name] = [...]local.Phase{local.Terminating, local.Ready}[i/10%2]
		}
		c.apply(versions, split(1+i%99, 100))
		c.eventually("the change is taken", func() bool { return c.plane.XDS().Stats().Acks > acks || talking.broken() > 0 })
	}
	delete(c.phases, c.pods["server-b"].Name)
	c.publish()
	if got := c.pods["client"].updates(c.t) - updates; got < n {
		c.t.Errorf("the client's sidecar took %d configurations, want %d", got, n)
	}
	if stats := c.plane.XDS().Stats(); stats.Nacks > 0 {
		c.t.Errorf("%d configurations were refused", stats.Nacks)
	}
}

// updates is how many configurations the sidecar has taken.
func (p *pod) updates(t *testing.T) int {
	t.Helper()
	var stats struct{ Updates int }
	if err := json.Unmarshal([]byte(p.sidecar.ask("/control_plane")), &stats); err != nil {
		t.Fatal(err)
	}
	return stats.Updates
}

// countRenewals calls renewed for each new certificate of the sidecar until done is closed.
func (p *pod) countRenewals(done <-chan struct{}, renewed func()) {
	ticks := time.NewTicker(250 * time.Millisecond)
	defer ticks.Stop()
	serial := ""
	for {
		select {
		case <-done:
			return
		case <-ticks.C:
		}
		var shown []struct{ Use, Serial string }
		if json.Unmarshal([]byte(p.sidecar.ask("/certs")), &shown) != nil || len(shown) == 0 || shown[0].Use != "workload" {
			continue
		}
		if serial != "" && shown[0].Serial != serial {
			renewed()
		}
		serial = shown[0].Serial
	}
}

// TestDrain: under load one of two servers is told to stop, as a kubelet does: its endpoint goes and its sidecar gets
// SIGTERM at the same time. No request is lost, streams on it live until they end by themselves, and then it ends, well
// before its time is up.
func TestDrain(t *testing.T) {
	t.Parallel()
	c := start(t, 0, versions)
	kept := c.crowd(30)
	var load []stream
	for range 8 {
		load = append(load, newRequests(c.way("server:80")))
	}
	requests := talk(t, 5*time.Millisecond, map[string][]stream{"http": load})
	c.more(requests, 200)
	leaving := c.pods["server-a"]
	leaving.sidecar.terminate(t)
	c.phase("server-a", local.Terminating)
	c.more(requests, 1000)
	c.more(kept, 60)
	if leaving.sidecar.ended() {
		t.Error("the sidecar ended while it had streams")
	}
	seen := leaving.app.requests.Load()
	c.more(requests, 200)
	if now := leaving.app.requests.Load(); now != seen {
		t.Errorf("%d requests went to the server that stops, after its endpoint was gone", now-seen)
	}
	kept.unharmed()
	requests.unharmed()
	await(t, "the sidecar ends when its streams have", leaving.sidecar.exited)
	if leaving.sidecar.err != nil {
		t.Errorf("the sidecar ended with %v", leaving.sidecar.err)
	}
	c.clean()
}

// TestControlPlaneAway: without a control plane, known and unknown destinations are served, and a sidecar keeps its
// certificate as long as it is valid.
func TestControlPlaneAway(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	c.more(around, 20)
	c.stop()
	c.more(around, 200)
	for range 20 { // new connections, with handshakes
		if got := c.dial("server:80").ask(t, "GET", ""); got.status != http.StatusNotFound { // its application has no such page
			t.Fatalf("%s; want the application's 404", got)
		}
	}
	c.startPlane(c.plane)
	c.apply(pair, route("gone", "81", `{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 302, path: {type: ReplaceFullPath, replaceFullPath: /new}}}]}`))
	c.eventually("the new control plane is heard", func() bool { return c.dial("server:81").ask(t, "GET", "").status == http.StatusFound })
	around.unharmed()
	c.clean()
}
