package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/proxy/config"
)

// abort ends an attempt without an answer, stall without one in time, and hints with a 500 after an interim response.
const (
	abort = 0
	stall = 1
	hints = 2
)

// TestRetryOfRoutes (GEP-1731): what a rule's retry sends again, between both versions of HTTP on either side.
func TestRetryOfRoutes(t *testing.T) {
	for _, tc := range []struct {
		name     string
		method   string
		retry    config.Retry
		body     int
		attempts []int // what the backend does to each
		status   int
	}{
		{"a status that is named", "PUT", config.Retry{Attempts: 3, Statuses: []int{500, 503}}, 0, []int{500, 503, 200}, 200},
		{"a status that is not", "PUT", config.Retry{Attempts: 3, Statuses: []int{500}}, 0, []int{503}, 503},
		{"no status that is named", "PUT", config.Retry{Attempts: 3}, 0, []int{500}, 500},
		{"attempts used up: the last answer", "PUT", config.Retry{Attempts: 2, Statuses: []int{500, 503}}, 0, []int{500, 500, 503}, 503},
		{"no attempts", "PUT", config.Retry{Statuses: []int{500}}, 0, []int{500}, 500},
		{"no answer", "PUT", config.Retry{Attempts: 2}, 0, []int{abort, abort, 200}, 200},
		{"no answer, attempts used up", "PUT", config.Retry{Attempts: 1}, 0, []int{abort, abort}, 502},
		{"no answer, no attempts", "PUT", config.Retry{Attempts: 0}, 0, []int{abort}, 502},
		{"no answer, not idempotent", "POST", config.Retry{Attempts: 2}, 0, []int{abort}, 502},
		{"a status, not idempotent", "POST", config.Retry{Attempts: 2, Statuses: []int{500}}, 0, []int{500, 200}, 200},
		{"no answer in time, not idempotent", "POST", config.Retry{Attempts: 1}, 0, []int{stall, 200}, 200},
		{"an interim response", "PUT", config.Retry{Attempts: 2, Statuses: []int{500}}, 0, []int{hints}, 500},
		{"no answer in time", "PUT", config.Retry{Attempts: 1}, 0, []int{stall, 200}, 200},
		{"no answer in time, attempts used up", "PUT", config.Retry{Attempts: 1}, 0, []int{stall, stall}, 504},
		{"a body", "PUT", config.Retry{Attempts: 2, Statuses: []int{500}}, 3, []int{500, abort, 200}, 200},
		{"the largest body", "PUT", config.Retry{Attempts: 2, Statuses: []int{500}}, 32 << 10, []int{500, abort, 200}, 200},
		{"a larger body", "PUT", config.Retry{Attempts: 2, Statuses: []int{500}}, 32<<10 + 1, []int{500}, 500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version config.HTTPVersion, client func(*pod, netip.AddrPort) *http.Client) {
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
					case hints:
						w.WriteHeader(http.StatusEarlyHints)
						w.WriteHeader(500)
					default:
						w.WriteHeader(what)
						_, _ = io.WriteString(w, "answer")
					}
				})
				web := retrying(t, backend, version, &config.Action{Retry: &tc.retry, BackendTimeout: 200 * time.Millisecond})
				resp, _ := do(t, client(web, cartService), request(t, tc.method, "/", strings.NewReader(sent)))
				if resp.StatusCode != tc.status || int(seen.Load()) != len(tc.attempts) {
					t.Errorf("status %d after %d attempts, want %d after %d", resp.StatusCode, seen.Load(), tc.status, len(tc.attempts))
				}
			})
		})
	}
}

// TestRetryOfCalls: a backend that refuses a call by its status, and nothing else, gets it again.
func TestRetryOfCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		answers []codes.Code
		message bool // before the status
		code    codes.Code
	}{
		"refused":                 {[]codes.Code{codes.Unavailable, codes.Unavailable, codes.OK}, false, codes.OK},
		"refused until the end":   {[]codes.Code{codes.Unavailable, codes.Unavailable, codes.Unavailable}, false, codes.Unavailable},
		"refused after a message": {[]codes.Code{codes.Unavailable}, true, codes.Unavailable},
		"failed":                  {[]codes.Code{codes.Internal}, false, codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int32
			backend := app2(t, func(w http.ResponseWriter, _ *http.Request) {
				code := tc.answers[min(int(seen.Add(1)), len(tc.answers))-1]
				w.Header().Set("Content-Type", "application/grpc")
				if !tc.message && code != codes.OK {
					w.Header().Set("Grpc-Status", fmt.Sprint(uint32(code)))
					return
				}
				_, _ = w.Write([]byte("\x00\x00\x00\x00\x00")) // an empty message
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", fmt.Sprint(uint32(code)))
			})
			web := retrying(t, backend, config.HTTP2Only, &config.Action{Retry: &config.Retry{Attempts: 2}})
			client, _ := web.stub(cartService)
			_, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{})
			if status.Code(err) != tc.code || int(seen.Load()) != len(tc.answers) {
				t.Errorf("%v after %d attempts, want %v after %d", err, seen.Load(), tc.code, len(tc.answers))
			}
		})
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
