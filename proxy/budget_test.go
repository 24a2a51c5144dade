package proxy_test

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// A retry that its backend's budget forbids is not made: the client gets 503 at once (XBackendTrafficPolicy, retryConstraint).
func TestRetryBudget(t *testing.T) {
	for name, tc := range map[string]struct {
		fails func(http.ResponseWriter)
		retry config.Retry
	}{
		"a status":  {func(w http.ResponseWriter) { w.WriteHeader(500) }, config.Retry{Attempts: 3, Statuses: []int{500}, Backoff: time.Millisecond}},
		"no answer": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, config.Retry{Attempts: 3, Backoff: time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version config.HTTPVersion, client func(*pod, netip.AddrPort) *http.Client) {
				var attempts atomic.Int32
				backend := app2(t, func(w http.ResponseWriter, _ *http.Request) {
					attempts.Add(1)
					tc.fails(w)
				})
				web := retrying(t, backend, version, &config.Action{Retry: &tc.retry})
				web.control.change(func(c *config.Config) {
					cluster := *c.Clusters[cartService.String()]
					cluster.RetryBudget = &config.RetryBudget{Percent: 0, Interval: time.Hour, MinRetries: 4, MinInterval: time.Hour}
					c.Clusters = map[string]*config.Cluster{cartService.String(): &cluster}
				})
				c := client(web, cartService)
				// The first request has three retries, the second what is left, the third none.
				for _, want := range []int32{4, 2, 1} {
					attempts.Store(0)
					resp, _ := do(t, c, request(t, "PUT", "/", nil))
					spent := want < 4
					if got := attempts.Load(); got != want || spent && resp.StatusCode != 503 {
						t.Errorf("%d after %d attempts, want %d attempts", resp.StatusCode, got, want)
					}
				}
				wait(t, &web.records, func() []telemetry.Request { return web.records.requests }, func(r telemetry.Request) bool {
					return r.Flag == "retry_budget" && r.Code == 503
				})
			})
		})
	}
}
