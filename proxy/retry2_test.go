package proxy_test

import (
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"net/http"

	xhttp2 "golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/config"
)

// speakers are clients of either version in front of a backend that speaks HTTP/2.
var speakers = []struct {
	name    string
	client  func(*pod, netip.AddrPort) *http.Client
	cluster config.HTTPVersion
}{
	{"HTTP/2", client2, config.SameHTTP},
	{"HTTP/1.1", client1, config.HTTP2Only},
}

// facing is a pod whose cart service is a backend without a sidecar.
func facing(t *testing.T, backend netip.AddrPort, version config.HTTPVersion) *pod {
	t.Helper()
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.Detect, config.Endpoint{Address: backend})
	web.control.change(func(c *config.Config) {
		for _, cluster := range c.Clusters {
			cluster.HTTP = version
		}
	})
	return web
}

// A request that the backend has provably not looked at is sent again, whatever its method; one that it may have looked at is not,
// unless it is idempotent and went to a connection that had been used before.
func TestWhatIsSentAgain(t *testing.T) {
	refuse := func(code xhttp2.ErrCode) func(p *peer2, id uint32) {
		return func(p *peer2, id uint32) { p.do(0, p.WriteRSTStream(id, code)) }
	}
	goAway := func(p *peer2, id uint32) { p.do(0, p.WriteGoAway(id-2, xhttp2.ErrCodeNo, nil)) }
	cut := func(p *peer2, _ uint32) { _ = p.Close() }
	for _, tc := range []struct {
		name, method string
		at           int // of the requests of a connection, the one that is refused
		refuse       func(p *peer2, id uint32)
		seen         int32 // by the backend, with the one that is refused
		status       int
	}{
		{"REFUSED_STREAM", "POST", 2, refuse(xhttp2.ErrCodeRefusedStream), 3, 200},
		{"REFUSED_STREAM, the first request", "POST", 1, refuse(xhttp2.ErrCodeRefusedStream), 2, 200},
		{"GOAWAY below the request", "POST", 2, goAway, 3, 200},
		{"processed, then reset", "POST", 2, refuse(xhttp2.ErrCodeInternal), 2, 502},
		{"processed, then reset, though idempotent", "GET", 2, refuse(xhttp2.ErrCodeInternal), 2, 502},
		{"connection lost after reuse", "GET", 2, cut, 3, 200},
		{"connection lost after reuse, not idempotent", "POST", 2, cut, 2, 502},
		{"connection lost, the first request", "GET", 1, cut, 1, 502},
	} {
		for _, who := range speakers {
			t.Run(tc.name+"/"+who.name, func(t *testing.T) {
				var seen atomic.Int32
				backend := backend2(t, func(p *peer2, n int) {
					requests := 0
					for f := p.frame(); f != nil; f = p.frame() {
						head, ok := f.(*xhttp2.MetaHeadersFrame)
						if !ok {
							continue
						}
						seen.Add(1)
						if requests++; n == 0 && requests == tc.at {
							tc.refuse(p, head.StreamID)
							continue
						}
						p.headers(head.StreamID, true, ":status", "200")
					}
				})
				client := who.client(facing(t, backend, who.cluster), cartService)
				var resp *http.Response
				for range tc.at {
					var body io.Reader
					if tc.method == "POST" {
						body = strings.NewReader("abc")
					}
					resp, _ = do(t, client, request(t, tc.method, "/", body))
				}
				if resp.StatusCode != tc.status || seen.Load() != tc.seen {
					t.Errorf("status %d after %d requests, want %d after %d", resp.StatusCode, seen.Load(), tc.status, tc.seen)
				}
			})
		}
	}
}

// Octets that are sent a second time, to another backend, are no new window for the client.
func TestWindowIsGivenBackOnce(t *testing.T) {
	const size = 30 << 10
	var got atomic.Int64
	whole, full := make(chan struct{}), make(chan struct{})
	backend := backend2(t, func(p *peer2, _ int) {
		attempt, body := 0, 0
		for f := p.frame(); f != nil; f = p.frame() {
			switch f := f.(type) {
			case *xhttp2.MetaHeadersFrame:
				attempt, body = attempt+1, 0
			case *xhttp2.DataFrame:
				if body += len(f.Data()); body == size && attempt < 3 {
					p.do(0, p.WriteRSTStream(f.StreamID, xhttp2.ErrCodeRefusedStream))
				} else if body == size {
					got.Store(int64(body))
					close(whole)
				}
				p.do(0, p.WriteWindowUpdate(0, uint32(len(f.Data()))))
				if body == 1<<16-1 { // all that the stream's window lets through
					close(full)
				}
			}
		}
	})
	c := dial2(facing(t, backend, config.SameHTTP), cartService)
	c.headers(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
	given := make(chan int, 1)
	acked := make(chan struct{})
	go func() {
		sum := 0
		for {
			f, err := c.ReadFrame()
			if err != nil {
				given <- sum
				return
			}
			switch f := f.(type) {
			case *xhttp2.WindowUpdateFrame:
				if f.StreamID == 1 {
					sum += int(f.Increment)
				}
			case *xhttp2.PingFrame:
				close(acked)
			}
		}
	}()
	sent := 0
	send := func(n int) {
		for ; n > 0; n -= 10 << 10 {
			c.do(0, c.WriteData(1, false, make([]byte, 10<<10)))
			sent += 10 << 10
		}
	}
	send(size)
	<-whole
	send(60 << 10) // with what was sent three times, more than half of a window
	c.do(0, c.WritePing(false, [8]byte{}))
	<-acked
	<-full // nothing comes any more
	_ = c.Close()
	if sum := <-given; sum > sent {
		t.Errorf("%d octets of window were given back for %d that were sent", sum, sent)
	}
}

// A backend's interim responses are not collected without bound while its client reads slowly.
func TestTooManyInterimResponses(t *testing.T) {
	for _, who := range speakers {
		t.Run(who.name, func(t *testing.T) {
			backend := backend2(t, func(p *peer2, _ int) {
				head, ok := p.frame().(*xhttp2.MetaHeadersFrame)
				if !ok {
					return
				}
				for range 1000 {
					if p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: head.StreamID, BlockFragment: p.fields(":status", "103"), EndHeaders: true}) != nil {
						return
					}
				}
				for p.frame() != nil {
				}
			})
			resp, _ := do(t, who.client(facing(t, backend, who.cluster), cartService), request(t, "GET", "/", nil))
			if resp.StatusCode != http.StatusBadGateway {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
}

// A backend that takes no requests, whatever its connections say, is not dialled without end.
func TestBackendsThatTakeNoRequests(t *testing.T) {
	for _, who := range speakers {
		t.Run(who.name, func(t *testing.T) {
			var dials atomic.Int32
			backend := backend2(t, func(p *peer2, _ int) {
				dials.Add(1)
				p.do(0, p.WriteGoAway(0, xhttp2.ErrCodeNo, nil))
				for p.frame() != nil {
				}
			}, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 0})
			resp, _ := do(t, who.client(facing(t, backend, who.cluster), cartService), request(t, "GET", "/", nil))
			if resp.StatusCode < 500 || dials.Load() > 15 {
				t.Errorf("status %d after %d dials", resp.StatusCode, dials.Load())
			}
		})
	}
}
