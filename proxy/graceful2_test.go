package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
)

// load keeps requests with bodies going, 16 at a time and of which none may fail, until it is stopped.
type load struct {
	t    *testing.T
	done atomic.Int64
	stop chan struct{}
	wg   sync.WaitGroup
}

func newLoad(t *testing.T, client *http.Client) *load {
	l := &load{t: t, stop: make(chan struct{})}
	for i := range 16 {
		l.wg.Go(func() { l.run(client, i) })
	}
	return l
}

func (l *load) run(client *http.Client, i int) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		payload := strings.Repeat(fmt.Sprint(i, n, " "), 100)
		resp, err := client.Post("http://cart.shop/echo", "text/plain", strings.NewReader(payload))
		if err != nil {
			l.t.Errorf("request %d of %d: %v", n, i, err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(body) != payload {
			l.t.Errorf("request %d of %d: %d, %v, %.300q", n, i, resp.StatusCode, err, body)
			return
		}
		l.done.Add(1)
	}
}

// goOn waits until n more requests are done.
func (l *load) goOn(n int64) {
	l.t.Helper()
	want := l.done.Load() + n
	eventually(l.t, "the load stands still", func() bool { return l.done.Load() >= want || l.t.Failed() })
}

func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

// serving is an application that can be asked to go.
func serving(t *testing.T) (netip.AddrPort, *http.Server) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: http.HandlerFunc(talkative), Protocols: protocols}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().(*net.TCPAddr).AddrPort(), server
}

// A server's sidecar that drains under load loses nothing, neither before nor after its clients' sidecars know that it is going.
func TestDrainOfAServerUnderLoad(t *testing.T) {
	for _, who := range speakers {
		t.Run(who.name, func(t *testing.T) {
			m := newMesh(t)
			drains := func(o *proxy.Options) { o.Drain = proxy.Drain{Max: time.Minute, Quiet: 100 * time.Millisecond} }
			first := m.pod("first", app2(t, talkative), drains)
			second := m.pod("second", app2(t, talkative), nil)
			web := m.pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.Detect, first.endpoint(), second.endpoint())
			web.control.change(func(c *config.Config) {
				for _, cluster := range c.Clusters {
					cluster.HTTP = who.cluster
				}
			})
			l := newLoad(t, who.client(web, cartService))
			l.goOn(200)
			first.stop()
			l.goOn(200)
			web.knows(cartService, config.Detect, second.endpoint())
			web.control.change(func(c *config.Config) {
				clusters := map[string]*config.Cluster{}
				for name, cluster := range c.Clusters {
					next := *cluster // the one before is in use
					next.HTTP = who.cluster
					clusters[name] = &next
				}
				c.Clusters = clusters
			})
			l.goOn(200)
			if err := <-first.done; err != nil {
				t.Error(err)
			}
			first.done <- nil
			l.goOn(200)
			l.end()
		})
	}
}

// Backends that shut down by GOAWAY under load are left one after the other, and nothing is lost.
func TestBackendsThatGoUnderLoad(t *testing.T) {
	for _, who := range speakers {
		t.Run(who.name, func(t *testing.T) {
			var endpoints []config.Endpoint
			var servers []*http.Server
			for range 3 {
				at, server := serving(t)
				endpoints, servers = append(endpoints, config.Endpoint{Address: at}), append(servers, server)
			}
			web := newMesh(t).pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.Detect, endpoints...)
			web.control.change(func(c *config.Config) {
				for _, cluster := range c.Clusters {
					cluster.HTTP = who.cluster
				}
			})
			l := newLoad(t, who.client(web, cartService))
			for _, server := range servers[:2] {
				l.goOn(200)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if err := server.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				cancel()
			}
			l.goOn(200)
			l.end()
		})
	}
}

// A client's sidecar that drains goes on to serve its application: clients that are sent away come back.
func TestDrainOfAClientUnderLoad(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", app2(t, talkative), nil)
	var here atomic.Bool
	here.Store(true)
	web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) {
		o.Drain = proxy.Drain{Max: time.Minute, Quiet: 100 * time.Millisecond, Application: here.Load}
	})
	web.knows(cartService, config.Detect, cart.endpoint())
	client := client2(web, cartService)
	l := newLoad(t, client)
	l.goOn(200)
	web.stop()
	l.goOn(1000)
	l.end()
	client.CloseIdleConnections()
	here.Store(false)
	if err := <-web.done; err != nil {
		t.Error(err)
	}
	web.done <- nil
}
