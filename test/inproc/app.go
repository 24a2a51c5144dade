package inproc

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/sidecar"
)

// greetingPort is the port at which each application speaks first, a line, and then echoes.
const greetingPort = 9000

// Greeting is what applications say at that port.
const Greeting = "220 welcome\n"

// Seen is what an application saw of a request; its answers have it as JSON.
type Seen struct {
	Pod     string
	Owner   string
	Method  string
	Host    string
	Path    string
	Headers http.Header
}

// App is the application of a pod.
type App struct {
	pod      *local.Pod
	requests atomic.Int64
}

// Requests is how many requests it has got.
func (a *App) Requests() int64 { return a.requests.Load() }

// Serve begins to serve a listener; the function it returns ends that.
type Serve func(net.Listener) (stop func())

func startApp(t testing.TB, pod *local.Pod, spec sidecar.Spec, serve func(owner string) Serve) *App {
	t.Helper()
	a := &App{pod: pod}
	for _, port := range pod.Ports {
		listener, err := net.Listen("tcp", spec.Target(netip.AddrPortFrom(pod.IP, port)).String())
		if err != nil {
			t.Fatal(err)
		}
		if port == greetingPort {
			t.Cleanup(func() { listener.Close() })
			go greet(listener)
			continue
		}
		if serve != nil {
			if own := serve(pod.Owner); own != nil {
				t.Cleanup(own(listener))
				continue
			}
		}
		server := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
		t.Cleanup(func() { server.Close() })
		go func() { _ = server.Serve(listener) }() // ends with Close
	}
	return a
}

// ServeHTTP answers with what it saw, after X-Delay, with the status in X-Status.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.requests.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	if delay, err := time.ParseDuration(r.Header.Get("X-Delay")); err == nil {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-From-App", a.pod.Owner)
	var status int
	if _, err := fmt.Sscan(r.Header.Get("X-Status"), &status); err == nil {
		w.WriteHeader(status)
	}
	seen := Seen{Pod: a.pod.Name.Name, Owner: a.pod.Owner, Method: r.Method, Host: r.Host, Path: r.URL.RequestURI(), Headers: r.Header}
	_ = json.NewEncoder(w).Encode(seen) // the client may be gone
}

func greet(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if _, err := io.WriteString(conn, Greeting); err == nil {
				_, _ = io.Copy(conn, conn)
			}
		}()
	}
}
