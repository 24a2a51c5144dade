package proxy_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
)

// abort ends an attempt without an answer, and stall without one in time.
const (
	abort = 0
	stall = 1
)

// TestRetryOfRoutes (GEP-1731): what a rule's retry sends again, between both versions of HTTP on either side.
func TestRetryOfRoutes(t *testing.T) {
	for _, tc := range []struct {
		name     string
		retry    config.Retry
		body     int
		attempts []int // what the backend does to each
		status   int
	}{
		{"a status that is named", config.Retry{Attempts: 3, Statuses: []int{500, 503}}, 0, []int{500, 503, 200}, 200},
		{"a status that is not", config.Retry{Attempts: 3, Statuses: []int{500}}, 0, []int{503}, 503},
		{"no status that is named", config.Retry{Attempts: 3}, 0, []int{500}, 500},
		{"attempts used up: the last answer", config.Retry{Attempts: 2, Statuses: []int{500, 503}}, 0, []int{500, 500, 503}, 503},
		{"no attempts", config.Retry{Statuses: []int{500}}, 0, []int{500}, 500},
		{"no answer", config.Retry{Attempts: 2}, 0, []int{abort, abort, 200}, 200},
		{"no answer, attempts used up", config.Retry{Attempts: 1}, 0, []int{abort, abort}, 502},
		{"no answer, no attempts", config.Retry{Attempts: 0}, 0, []int{abort}, 502},
		{"no answer in time", config.Retry{Attempts: 1}, 0, []int{stall, 200}, 200},
		{"no answer in time, attempts used up", config.Retry{Attempts: 1}, 0, []int{stall, stall}, 504},
		{"a body", config.Retry{Attempts: 2, Statuses: []int{500}}, 3, []int{500, abort, 200}, 200},
		{"the largest body", config.Retry{Attempts: 2, Statuses: []int{500}}, 32 << 10, []int{500, abort, 200}, 200},
		{"a larger body", config.Retry{Attempts: 2, Statuses: []int{500}}, 32<<10 + 1, []int{500}, 500},
	} {
		for _, version := range []config.HTTPVersion{config.HTTP1Only, config.HTTP2Only} {
			for name, client := range map[string]func(*pod, netip.AddrPort) *http.Client{"HTTP/1.1": client1, "HTTP/2": client2} {
				to := map[config.HTTPVersion]string{config.HTTP1Only: "HTTP/1.1", config.HTTP2Only: "HTTP/2"}[version]
				t.Run(tc.name+"/"+name+" to "+to, func(t *testing.T) {
					var seen atomic.Int32
					sent := strings.Repeat("a", tc.body)
					backend := app2(t, func(w http.ResponseWriter, r *http.Request) {
						n := int(seen.Add(1))
						if got, _ := io.ReadAll(r.Body); string(got) != sent {
							t.Errorf("attempt %d has body %.40q, want %q", n, got, sent)
						}
						if n > len(tc.attempts) {
							return
						}
						switch what := tc.attempts[n-1]; what {
						case abort:
							panic(http.ErrAbortHandler)
						case stall:
							<-r.Context().Done()
						default:
							w.WriteHeader(what)
							_, _ = io.WriteString(w, "answer")
						}
					})
					web := retrying(t, backend, version, &config.Action{Retry: &tc.retry, BackendTimeout: 200 * time.Millisecond})
					resp, _ := do(t, client(web, cartService), request(t, "POST", "/", strings.NewReader(sent)))
					if resp.StatusCode != tc.status || int(seen.Load()) != len(tc.attempts) {
						t.Errorf("status %d after %d attempts, want %d after %d", resp.StatusCode, seen.Load(), tc.status, len(tc.attempts))
					}
				})
			}
		}
	}
}

// The time of the whole request ends a pause between two attempts.
func TestRequestTimeoutEndsRetries(t *testing.T) {
	for name, client := range map[string]func(*pod, netip.AddrPort) *http.Client{"HTTP/1.1": client1, "HTTP/2": client2} {
		t.Run(name, func(t *testing.T) {
			backend := app2(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
			web := retrying(t, backend, config.HTTP1Only, &config.Action{
				Retry: &config.Retry{Attempts: 3, Statuses: []int{503}, Backoff: time.Hour}, Timeout: 100 * time.Millisecond,
			})
			if resp, _ := do(t, client(web, cartService), request(t, "GET", "/", nil)); resp.StatusCode != 504 {
				t.Errorf("status %d, want 504", resp.StatusCode)
			}
		})
	}
}

// retrying is a pod whose cart service has one rule.
func retrying(t *testing.T, backend netip.AddrPort, version config.HTTPVersion, action *config.Action) *pod {
	t.Helper()
	web := facing(t, backend, version)
	action.Backends = []config.Backend{{Cluster: cartService.String(), Weight: 1}}
	web.routes(cartService, []config.Entry{{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: action}})
	return web
}
