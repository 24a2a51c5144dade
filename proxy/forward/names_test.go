package forward_test

import (
	"maps"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/plan"
)

// TestNamesAreAwaited: a request waits for the first addresses of its backend's name, and of its authorization server's.
func TestNamesAreAwaited(t *testing.T) {
	for _, awaited := range []string{"c", "auth"} {
		t.Run(awaited, func(t *testing.T) {
			w, b := one(t)
			server := w.backend()
			w.cluster("auth", server.addr())
			w.route(config.Entry{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: &config.Action{
				Backends:     []config.Backend{{Cluster: "c", Weight: 1}},
				ExternalAuth: &config.ExternalAuth{Cluster: "auth", Authority: "auth:80", Timeout: patience},
			}})
			found := w.cfg.Clusters[awaited]
			w.cfg.Clusters[awaited] = &config.Cluster{Name: awaited, DNS: &config.DNS{Host: "host.example.com", Port: 80, Refresh: time.Minute}}
			w.server = forward.New(forward.Options{Pool: w.pool, Streams: w.streams, Sink: w, Pending: func(host string) <-chan struct{} {
				if host != "host.example.com" {
					t.Errorf("%s is awaited", host)
				}
				pending := make(chan struct{})
				go func() {
					defer close(pending)
					next := *w.cfg
					next.Clusters = maps.Clone(w.cfg.Clusters)
					next.Clusters[awaited] = found
					w.plan.Store(plan.Next(w.plan.Load(), &next))
				}()
				return pending
			}})
			c := w.dial()
			c.send(plainGet)
			asked := server.accept()
			asked.head()
			asked.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			up := b.accept()
			up.head()
			up.send("HTTP/1.1 204 No Content\r\n\r\n")
			c.expect("HTTP/1.1 204 No Content\r\n\r\n")
			w.record()
		})
	}
}
