//go:build fault

package fault_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSlowHeads: clients send the heads of their requests byte by byte, or their first byte only, and never end. They are
// ended when the limit for heads has passed; nothing of it reaches the backend.
func TestSlowHeads(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	server := c.pods["server"].app
	const limit = 30 * time.Second // 20 s for a head, 5 s for its first line
	began := time.Now()
	ended := make(chan string, 300)
	n := choose(200, 40)
	for i := range n {
		client := c.dial("server:81")
		head := []string{"GET / HTTP/1.1\r\nHost: server\r\nX-Slow: ", "G", "GET / HTTP/1.1\r\n"}[i%3]
		client.say(t, head)
		go func() { ended <- dribble(client, i%3 == 0, limit) }()
	}
	late := 0
	for range n {
		if text := <-ended; text != "" {
			if late++; late < 4 {
				t.Error(text)
			}
		}
	}
	t.Logf("%d slow clients were ended within %s", n, time.Since(began).Round(time.Millisecond))
	if server.accepted.Load() != 0 {
		t.Errorf("%d of them reached the backend", server.accepted.Load())
	}
	around.unharmed()
	c.clean()
}

// dribble sends a byte each half second where it should, until the connection is ended; "" when it was, in time, with 408
// or without an answer.
func dribble(client *raw, more bool, limit time.Duration) string {
	done := make(chan struct{})
	defer close(done)
	if more {
		go func() {
			ticks := time.NewTicker(500 * time.Millisecond)
			defer ticks.Stop()
			for {
				select {
				case <-done:
					return
				case <-ticks.C:
					if _, err := client.Write([]byte{'x'}); err != nil {
						return
					}
				}
			}
		}()
	}
	_ = client.SetReadDeadline(time.Now().Add(limit))
	text, err := io.ReadAll(client.in)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Sprintf("a slow head is still served after %s", limit)
	}
	if len(text) > 0 && !strings.HasPrefix(string(text), "HTTP/1.1 408 ") && !strings.HasPrefix(string(text), "HTTP/1.1 400 ") {
		return fmt.Sprintf("a slow head was answered %.60q", text)
	}
	return ""
}

// TestSlowBodies: clients announce a body and send it byte by byte. The route's timeout ends them with an answer, and the
// backend is released.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair, route("slow", "81", `{timeouts: {request: 2s}, backendRefs: [{name: server, port: 81}]}`))
	around := c.bystanders()
	c.pods["server"].app.misbehave(func(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) })
	for _, framing := range []string{"Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfffff\r\n"} {
		client := c.dial("server:81")
		client.say(t, "POST / HTTP/1.1\r\nHost: server\r\n"+framing)
		stop := make(chan struct{})
		go func() {
			ticks := time.NewTicker(20 * time.Millisecond)
			defer ticks.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticks.C:
					if _, err := client.Write([]byte{'x'}); err != nil {
						return
					}
				}
			}
		}()
		if got := client.hear("POST"); got.status != http.StatusGatewayTimeout || got.took > 2*time.Second+promptly {
			t.Errorf("%.17q: %s; want 504 after 2 s", framing, got)
		}
		close(stop)
	}
	around.unharmed()
	c.clean()
}

// TestSlowReaders: clients ask for much and read nothing. What the sidecars hold for them is bounded, and everything is
// released when they go away.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	n, each := choose(100, 30), 64<<20
	// A sidecar may hold a buffer per direction and hop, and TLS records: far from what was asked for.
	const held = 512 << 10
	before := map[string]int{}
	for owner, p := range c.pods {
		before[owner] = p.sidecar.resident(t)
	}
	for range n {
		client := c.dial("server:80")
		_ = client.SetReadBuffer(4 << 10)
		client.say(t, fmt.Sprintf("GET /big?bytes=%d HTTP/1.1\r\nHost: server\r\n\r\n", each))
	}
	// Nothing moves any more when what the server's sidecar has sent stays the same.
	var sent float64
	c.eventually("all are stuck", func() bool { return c.stuck(&sent) })
	for owner, p := range c.pods {
		if grown := (p.sidecar.resident(t) - before[owner]) << 10; grown > n*held {
			t.Errorf("the sidecar of %s grew by %d KiB for %d clients that do not read", owner, grown>>10, n)
		} else {
			t.Logf("the sidecar of %s grew by %d KiB for %d clients that do not read", owner, grown>>10, n)
		}
	}
	around.unharmed()
	c.clean()
}

// stuck tells whether all upstream connections of the server's application that answer with much are full: the kernel's
// queues are what grows last.
func (c *cluster) stuck(before *float64) bool {
	goroutines := c.pods["server"].sidecar.ask("/debug/pprof/goroutine?debug=1")
	now := float64(strings.Count(goroutines, "(*session).write"))
	same := now > 0 && now == *before
	*before = now
	return same
}

// TestClientResetsInBody: clients reset in the middle of their request bodies, and of their responses. The backend must
// not take the body for whole.
func TestClientResetsInBody(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	arrived, ended := make(chan struct{}, 1), make(chan error, 1)
	c.pods["server"].app.misbehave(func(conn *net.TCPConn) {
		r, _, ok := readRequest(conn)
		if !ok {
			return
		}
		_, _ = io.ReadFull(r.Body, make([]byte, 5))
		arrived <- struct{}{}
		_, err := io.ReadAll(r.Body)
		ended <- err
	})
	for _, framing := range []string{"Content-Length: 100000\r\n\r\nbegin", "Transfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n"} {
		client := c.dial("server:81")
		client.say(t, "POST / HTTP/1.1\r\nHost: server\r\n"+framing)
		await(t, "the beginning arrives", arrived)
		reset(client.TCPConn)
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%.17q: the backend took the beginning for the whole", framing)
			}
		case <-time.After(patience):
			t.Fatal("the backend is not told")
		}
	}
	for range 20 {
		client := c.dial("server:80")
		client.say(t, "GET /big?bytes=10000000 HTTP/1.1\r\nHost: server\r\n\r\n")
		if _, err := io.ReadFull(client.in, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		reset(client.TCPConn)
	}
	around.unharmed()
	c.clean()
}

// TestHalfOpen: one side ends its direction and the other goes on, both ways round; then a reset in one direction ends
// both.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	// The client ends first: what it sent comes back, and then the end.
	client := c.dial("server:7000")
	client.say(t, strings.Repeat("x", 100000))
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(client.in); len(text) != 100000 || err != nil {
		t.Errorf("after a half-close %d bytes came back, %v", len(text), err)
	}
	// A client that half-closes after its request still gets its answer.
	client = c.dial("server:80")
	client.say(t, "POST /echo HTTP/1.1\r\nHost: server\r\nContent-Length: 5\r\n\r\nhello")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := client.hear("POST"); got.status != http.StatusOK || got.body != "hello" {
		t.Errorf("after a half-close: %s", got)
	}
	// A reset is a reset at the other end.
	client = c.dial("server:7000")
	client.say(t, "x")
	if _, err := client.in.ReadByte(); err != nil {
		t.Fatal(err)
	}
	reset(client.TCPConn)
	around.unharmed()
	c.clean()
}
