//go:build fault

package fault_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// promptly is by when a client must know of a failure that the proxy sees at once.
const promptly = 5 * time.Second

// TestBackendResets: a backend reads a request and resets. A POST is not sent again and fails with 502; so does a GET on
// a new connection.
func TestBackendResets(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	server := c.pods["server"].app
	var seen atomic.Int64
	server.misbehave(func(conn *net.TCPConn) {
		if _, _, ok := readRequest(conn); ok {
			seen.Add(1)
			reset(conn)
		}
	})
	for _, method := range []string{"POST", "GET"} {
		seen.Store(0)
		got := c.dial("server:81").ask(t, method, "body")
		if got.status != http.StatusBadGateway || got.took > promptly || seen.Load() != 1 {
			t.Errorf("%s: %s; the backend saw it %d times; want 502, once", method, got, seen.Load())
		}
	}
	around.unharmed()
	c.clean()
}

// TestBackendResetsReusedConnection: a backend answers one request on each connection, reads the next one and resets. A
// POST is not sent again and fails; a GET is, and succeeds.
func TestBackendResetsReusedConnection(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	var seen atomic.Int64
	c.pods["server"].app.misbehave(func(conn *net.TCPConn) {
		if _, _, ok := readRequest(conn); !ok {
			return
		}
		seen.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if _, _, ok := readRequest(conn); ok {
			seen.Add(1)
			reset(conn)
		}
	})
	for _, tc := range []struct {
		method string
		status int
		seen   int64 // of the second request
	}{{"POST", http.StatusBadGateway, 1}, {"GET", http.StatusOK, 2}} {
		client := c.dial("server:81")
		// The first request opens a connection of the backend's, whatever is idle.
		if got := client.ask(t, "GET", ""); got.status != http.StatusOK {
			t.Fatalf("first: %s", got)
		}
		seen.Store(0)
		if got := client.ask(t, tc.method, ""); got.status != tc.status || seen.Load() != tc.seen || got.took > promptly {
			t.Errorf("%s on a reused connection: %s; the backend saw it %d times; want %d, %d times", tc.method, got, seen.Load(), tc.status, tc.seen)
		}
	}
	around.unharmed()
	c.clean()
}

// TestBackendResetsInBody: a backend resets in the middle of a response. The client must not take what it has for whole:
// the connection ends before the announced length, and without the last chunk.
func TestBackendResetsInBody(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	for name, head := range map[string]string{
		"length":  "Content-Length: 100000\r\n\r\nbegin",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
	} {
		told := make(chan struct{})
		c.pods["server"].app.misbehave(func(conn *net.TCPConn) {
			if _, _, ok := readRequest(conn); !ok {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+head)
			<-told // the client has the beginning
			reset(conn)
		})
		client := c.dial("server:81")
		client.say(t, "GET / HTTP/1.1\r\nHost: server\r\n\r\n")
		response, err := http.ReadResponse(client.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, 5)
		if _, err := io.ReadFull(response.Body, begin); err != nil || string(begin) != "begin" {
			t.Errorf("%s: begins with %q, %v", name, begin, err)
		}
		close(told)
		began := time.Now()
		if _, err := io.ReadAll(response.Body); err == nil || time.Since(began) > promptly {
			t.Errorf("%s: the body ends with %v after %s, want a failure", name, err, time.Since(began))
		}
		response.Body.Close()
	}
	around.unharmed()
	c.clean()
}

// TestBackendStalls: a backend is silent, before or in the middle of its response, or accepts and reads nothing. The
// route's timeout is what the client sees: 504 where no head was sent, a broken body where it was.
func TestBackendStalls(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair, route("stall", "81", `{timeouts: {request: 1s}, backendRefs: [{name: server, port: 81}]}`))
	around := c.bystanders()
	for _, tc := range []struct {
		name, says string
		status     int
		body       string
	}{
		{"before the head", "", http.StatusGatewayTimeout, ""},
		{"in the head", "HTTP/1.1 200 OK\r\nContent-Le", http.StatusGatewayTimeout, ""},
		{"in the body", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin", http.StatusOK, "begin"},
		{"in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nbegin", http.StatusOK, "begin"},
	} {
		c.pods["server"].app.misbehave(func(conn *net.TCPConn) {
			if _, _, ok := readRequest(conn); ok {
				_, _ = io.WriteString(conn, tc.says)
				_, _ = io.Copy(io.Discard, conn) // until the proxy gives up
			}
		})
		got := c.dial("server:81").ask(t, "GET", "")
		if got.status != tc.status || (got.err == nil) != (tc.body == "") || tc.body != "" && got.body != tc.body || got.took > promptly+time.Second {
			t.Errorf("stalls %s: %s; want %d", tc.name, got, tc.status)
		}
	}
	around.unharmed()
	c.clean()
}

// TestBackendNeverAnswers: there is no timeout, the client gives up and goes away, in an orderly way or with a reset. The
// backend's connection must be released.
func TestBackendNeverAnswers(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair)
	around := c.bystanders()
	arrived, released := make(chan struct{}, 100), make(chan struct{}, 100)
	c.pods["server"].app.misbehave(func(conn *net.TCPConn) {
		if _, in, ok := readRequest(conn); ok {
			arrived <- struct{}{}
			_, _ = io.Copy(io.Discard, in)
		}
		released <- struct{}{}
	})
	for _, leave := range []func(*net.TCPConn){reset, func(conn *net.TCPConn) { _ = conn.Close() }} {
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: server\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 1000\r\n\r\nbegin",
			"POST / HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
		} {
			client := c.dial("server:81")
			client.say(t, request)
			await(t, "the request arrives", arrived)
			leave(client.TCPConn)
			await(t, fmt.Sprintf("the backend is released after %.20q", request), released)
		}
	}
	around.unharmed()
	c.clean()
}

func await(t *testing.T, what string, happens <-chan struct{}) {
	t.Helper()
	select {
	case <-happens:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

// TestNobodyListens: the application is not there. The answer is 503 at once, and its sidecar's other ports work on.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	c := start(t, 0, pair+`
---
apiVersion: v1
kind: Service
metadata: {namespace: fault, name: nobody}
spec:
  selector: {app: server}
  ports: [{name: http, port: 82, targetPort: 8082, appProtocol: http}, {name: tcp, port: 7001, appProtocol: tcp}]
`)
	around := c.bystanders()
	for _, method := range []string{"GET", "POST"} {
		if got := c.dial("nobody:82").ask(t, method, "body"); got.status != http.StatusServiceUnavailable || got.took > promptly {
			t.Errorf("%s: %s; want 503", method, got)
		}
	}
	if !c.dial("nobody:7001").closedBy(promptly) {
		t.Error("a TCP connection to nobody stays open")
	}
	around.unharmed()
	c.clean()
}
