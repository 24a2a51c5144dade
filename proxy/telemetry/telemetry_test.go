package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

func request() *telemetry.Request {
	return &telemetry.Request{
		Direction:   telemetry.Outbound,
		Source:      config.Workload{Namespace: "shop", Name: "web", Pod: "web-1"},
		Destination: config.Workload{Namespace: "shop", Name: "cart", Pod: "cart-7", Identity: "spiffe://cluster.local/ns/shop/sa/cart"},
		Service:     "shop/cart:80",
		Origin:      config.Origin{Kind: "HTTPRoute", Namespace: "shop", Name: "cart", Rule: "canary", Generation: 4},
		Protocol:    "HTTP/1.1", Method: "GET", Path: "/items", Authority: "cart", Code: 200, MTLS: true, Peer: "10.0.0.7:8080",
		Start: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Duration: 3 * time.Millisecond, BytesIn: 5, BytesOut: 70,
	}
}

func TestRequestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := telemetry.NewMetrics(registry, 0)
	r := request()
	m.Request(r)
	r.Origin.Generation, r.Source.Pod = 5, "web-2" // a new pod and a new generation make no new series
	m.Request(r)
	const labels = `{code="200",destination="shop/cart",direction="outbound",flag="",grpc_status="",mtls="true",protocol="HTTP/1.1",route="HTTPRoute shop/cart canary",service="shop/cart:80",source="shop/web"}`
	want := fmt.Sprintf(`
# HELP leno_requests_total HTTP requests by what the client was answered.
# TYPE leno_requests_total counter
leno_requests_total%[1]s 2
# HELP leno_response_bytes_total Bytes of response bodies.
# TYPE leno_response_bytes_total counter
leno_response_bytes_total%[1]s 140
`, labels)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "leno_requests_total", "leno_response_bytes_total"); err != nil {
		t.Error(err)
	}
}

func TestCallsAreCountedByStatus(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := telemetry.NewMetrics(registry, 0)
	r := request()
	r.Protocol, r.Path = "gRPC", "/shop.Cart/Add"
	for _, status := range []string{"0", "0", "14"} {
		r.GRPC = status
		m.Request(r)
	}
	const labels = `{code="200",destination="shop/cart",direction="outbound",flag="",grpc_status="%s",mtls="true",protocol="gRPC",route="HTTPRoute shop/cart canary",service="shop/cart:80",source="shop/web"}`
	want := fmt.Sprintf(`
# HELP leno_requests_total HTTP requests by what the client was answered.
# TYPE leno_requests_total counter
leno_requests_total`+labels+` 2
leno_requests_total`+labels+` 1
`, "0", "14")
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "leno_requests_total"); err != nil {
		t.Error(err)
	}
	lines := logged(t, func(l *telemetry.AccessLog) { l.Request(r) })
	if want := `"protocol":"gRPC","method":"GET","authority":"cart","path":"/shop.Cart/Add","code":200,"grpcStatus":"14"`; !strings.Contains(lines[0], want) {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	if plain := logged(t, func(l *telemetry.AccessLog) { l.Request(request()) }); strings.Contains(plain[0], "grpcStatus") {
		t.Errorf("no call, but %s", plain[0])
	}
}

// logged returns the lines of an access log.
func logged(t *testing.T, use func(l *telemetry.AccessLog)) []string {
	t.Helper()
	l := telemetry.NewAccessLog()
	l.Enable(true)
	use(l)
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Run(ctx, &out)
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestSeriesAreBounded(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := telemetry.NewMetrics(registry, 10)
	for i := range 1000 {
		r := request()
		r.Destination.Name = fmt.Sprint("cart-", i)
		m.Request(r)
		m.Connection(&telemetry.Connection{Direction: telemetry.Inbound, Service: fmt.Sprint("shop/db:", i), Protocol: "TCP"})
	}
	for _, name := range []string{"leno_requests_total", "leno_connections_total"} {
		if n, err := testutil.GatherAndCount(registry, name); n != 11 || err != nil {
			t.Errorf("%s: %d series, %v; want 10 and one for the rest", name, n, err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var overflowed float64
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == "leno_requests_total" && label.GetName() == "destination" && label.GetValue() == telemetry.Overflow {
					overflowed = metric.GetCounter().GetValue()
				}
			}
		}
	}
	if overflowed != 990 {
		t.Errorf("%v requests under %q, want 990", overflowed, telemetry.Overflow)
	}
}

func TestRequestAllocatesNothing(t *testing.T) {
	m := telemetry.NewMetrics(prometheus.NewRegistry(), 0)
	off := telemetry.NewAccessLog()
	r := request()
	sink := telemetry.Tee{m, off}
	if n := testing.AllocsPerRun(100, func() { sink.Request(r) }); n != 0 {
		t.Errorf("%v allocations for each request", n)
	}
}

func TestAccessLog(t *testing.T) {
	lines := logged(t, func(l *telemetry.AccessLog) {
		l.Enable(false)
		l.Request(request()) // nothing
		l.Enable(true)
		r := request()
		r.Path = "/a\"b\n\xff"
		l.Request(r)
		l.Connection(&telemetry.Connection{Direction: telemetry.Inbound, Protocol: "TCP", Flag: "idle_timeout", BytesIn: 7})
	})
	if len(lines) != 2 {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatalf("%v in %s", err, lines[0])
	}
	for name, want := range map[string]any{
		"time": "2026-01-02T03:04:05.000006Z", "direction": "outbound", "path": "/a\"b\n\ufffd", "code": 200.0, "routeRule": "canary",
		"destinationPod": "cart-7", "mtls": true, "durationMicros": 3000.0, "bytesOut": 70.0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if want := `{"time":"0001-01-01T00:00:00.000000Z","direction":"inbound","protocol":"TCP","flag":"idle_timeout","mtls":false,"durationMicros":0,"bytesIn":7,"bytesOut":0}`; lines[1] != want {
		t.Errorf("got  %s\nwant %s", lines[1], want)
	}
}

func TestAccessLogDropsRatherThanBlocks(t *testing.T) {
	l := telemetry.NewAccessLog()
	l.Enable(true)
	for range 2000 {
		l.Request(request())
	}
	if l.Dropped() != 2000-1024 {
		t.Errorf("dropped %d", l.Dropped())
	}
}
