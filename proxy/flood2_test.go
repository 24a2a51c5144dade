package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	xhttp2 "golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/test/poll"
)

// floods2 are what a hostile client does in a loop, and the reason under which its end is counted.
var floods2 = []struct {
	name, reason string
	round        func(p *peer2, id uint32) error
}{
	{"rapid reset", "rapid_reset", func(p *peer2, id uint32) error {
		p.get(id, "/slow")
		return p.WriteRSTStream(id, xhttp2.ErrCodeCancel)
	}},
	{"resets that the proxy is made to send", "malformed", func(p *peer2, id uint32) error {
		p.get(id, "/slow")
		return p.WriteData(id, true, []byte("x"))
	}},
	{"malformed requests", "malformed", func(p *peer2, id uint32) error {
		p.headers(id, true, "x-a", "b")
		return nil
	}},
	{"more streams than allowed", "malformed", func(p *peer2, id uint32) error {
		p.get(id, "/slow")
		return nil
	}},
	{"CONTINUATION", "continuation", func(p *peer2, id uint32) error {
		if id == 1 {
			return p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(":method", "GET")})
		}
		return p.WriteContinuation(1, false, p.fields("x-a", "b"))
	}},
	{"CONTINUATION without content", "continuation", func(p *peer2, id uint32) error {
		if id == 1 {
			return p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(":method", "GET")})
		}
		return p.WriteContinuation(1, false, nil)
	}},
	{"PING", "ping", func(p *peer2, _ uint32) error { return p.WritePing(false, [8]byte{}) }},
	{"SETTINGS", "settings", func(p *peer2, _ uint32) error { return p.WriteSettings() }},
	{"PRIORITY", "priority", func(p *peer2, id uint32) error { return p.WritePriority(id, xhttp2.PriorityParam{}) }},
	{"WINDOW_UPDATE", "window_update", func(p *peer2, _ uint32) error { return p.WriteWindowUpdate(0, 1) }},
	{"unknown types", "unknown_frames", func(p *peer2, _ uint32) error { return p.WriteRawFrame(0xbe, 0, 0, nil) }},
	{"empty DATA", "empty_frames", func(p *peer2, id uint32) error {
		if id == 1 {
			p.headers(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/slow")
		}
		return p.WriteData(1, false, nil)
	}},
	{"frames on closed streams", "closed_streams", func(p *peer2, id uint32) error {
		if id == 1 {
			p.get(1, "/")
			if status := p.status(1); status != "200" {
				return fmt.Errorf("status %q", status)
			}
			for f := p.frame(); ; f = p.frame() {
				if data, ok := f.(*xhttp2.DataFrame); f == nil || ok && data.StreamEnded() {
					break
				}
			}
		}
		return p.WriteData(1, false, []byte("x"))
	}},
}

// counted is the value of leno_http2_floods_total.
func counted(t *testing.T, r *prometheus.Registry, side, reason string) float64 {
	t.Helper()
	for _, family := range must(r.Gather()) {
		if family.GetName() != "leno_http2_floods_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["side"] == side && labels["reason"] == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// eventually waits for something that comes a moment after what is seen on a connection.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	poll.Until(t, 10*time.Second, what, is)
}

// patient answers at once, but for /slow, which waits for its client to go.
func patient(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/slow" {
		<-r.Context().Done()
		return
	}
	talkative(w, r)
}

// One connection floods, and ends by GOAWAY with ENHANCE_YOUR_CALM; what others do meanwhile is not disturbed.
func TestFloods(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newMesh(t)
	cart := m.pod("cart", app2(t, patient), nil)
	web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) { o.Counters = telemetry.NewCounters(registry) })
	web.knows(cartService, config.Detect, cart.endpoint())
	honest := client2(web, cartService)
	for _, f := range floods2 {
		t.Run(f.name, func(t *testing.T) {
			before := counted(t, registry, "outbound", f.reason)
			stop := make(chan struct{})
			var others sync.WaitGroup
			others.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					resp, err := honest.Get("http://cart.shop/echo?" + fmt.Sprint(i))
					if err != nil {
						t.Errorf("honest request %d: %v", i, err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
			c := dial2(web, cartService)
			for id := uint32(1); id < 100_000; id += 2 {
				if f.round(c, id) != nil {
					break // the proxy has closed
				}
				if id == 4001 {
					break // more than enough for any of them
				}
			}
			if code, ok := c.goAway(); !ok || code != xhttp2.ErrCodeEnhanceYourCalm {
				t.Errorf("GOAWAY %v, %v", code, ok)
			}
			close(stop)
			others.Wait()
			eventually(t, "the flood was not counted as "+f.reason, func() bool { return counted(t, registry, "outbound", f.reason) == before+1 })
		})
	}
}

// A backend that floods ends its connection, and is counted on its side.
func TestFloodsOfBackends(t *testing.T) {
	registry := prometheus.NewRegistry()
	backend := backend2(t, func(p *peer2, _ int) {
		p.frame()
		for range 2000 {
			if p.WritePing(true, [8]byte{}) != nil {
				break
			}
		}
		for p.frame() != nil {
		}
	})
	web := newMesh(t).pod("web", netip.AddrPort{}, func(o *proxy.Options) { o.Counters = telemetry.NewCounters(registry) })
	web.knows(cartService, config.Detect, config.Endpoint{Address: backend})
	if resp, _ := do(t, client2(web, cartService), request(t, "POST", "/", strings.NewReader("a"))); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d", resp.StatusCode)
	}
	eventually(t, "the flood was not counted", func() bool { return counted(t, registry, "upstream", "ping") == 1 })
}

// A field section that is larger than the limit is answered with 431, whether it is long or only says so (HPACK bomb), and the
// connection goes on.
func TestLargeHeads(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", app2(t, talkative), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, cart.endpoint())
	c := dial2(web, cartService)
	block := append([]byte{}, c.fields(":method", "GET", ":scheme", "http", ":authority", "cart.shop", ":path", "/", "x-bomb", strings.Repeat("b", 3900))...)
	for len(block) < 12<<10 {
		block = append(block, 0x80|62)
	}
	c.do(0, c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true}))
	if status := c.status(1); status != "431" {
		t.Errorf("status %q", status)
	}
	c.get(3, "/")
	if status := c.status(3); status != "200" {
		t.Errorf("the next request was answered %q", status)
	}
}

// A client may cancel as often as it likes what was answered.
func TestManyHonestCancels(t *testing.T) {
	m := newMesh(t)
	cart := m.pod("cart", app2(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, cart.endpoint())
	c := dial2(web, cartService)
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	for id := uint32(1); id < 20_001; id += 2 {
		c.get(id, "/")
		if status := c.status(id); status != "200" {
			t.Fatalf("request %d was answered %q", id, status)
		}
		c.do(0, c.WriteRSTStream(id, xhttp2.ErrCodeCancel))
	}
}

// A client that opens its windows as far as they go and does not read holds no more than a bounded part of its answers; others that
// share the way to the backend are served.
func TestClientsThatDoNotRead(t *testing.T) {
	const answers, size = 60, 3 << 20
	m := newMesh(t)
	var written sync.Map
	cart := m.pod("cart", app2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/big" {
			return
		}
		p := make([]byte, 16<<10)
		total := 0
		for ; total < size; total += len(p) {
			if _, err := w.Write(p); err != nil {
				return
			}
			written.Store(r.URL.RawQuery, total)
		}
	}), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, cart.endpoint())
	c := dial2(web, cartService, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1<<31 - 1})
	c.do(0, c.WriteWindowUpdate(0, 1<<31-1-65535))
	for i := range uint32(answers) {
		c.get(2*i+1, fmt.Sprintf("/big?%d", i))
	}
	sum := func() (n int) {
		written.Range(func(_, v any) bool { n += v.(int); return true })
		return n
	}
	last, since := 0, time.Now()
	eventually(t, "the backend never stopped to write", func() bool {
		if now := sum(); now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 300*time.Millisecond
	})
	// Each of two sidecars may hold a stream's window of each answer; the rest is in sockets and in the backend's own buffers.
	if limit := answers*(3*256<<10) + 32<<20; last > limit {
		t.Errorf("%d MiB were taken from the backend for a client that does not read, at most %d expected", last>>20, limit>>20)
	}
	for range 20 {
		if resp, _ := do(t, client2(web, cartService), request(t, "GET", "/small", nil)); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}
