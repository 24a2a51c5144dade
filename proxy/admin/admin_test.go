package admin_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/admin"
	"github.com/leno-mesh/leno/proxy/config"
)

func get(handler http.Handler, path string) (int, string) {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

func options() admin.Options {
	return admin.Options{
		Ready: func() (bool, string) { return false, "no certificate yet" },
		Config: func() *config.Config {
			return &config.Config{Outbound: map[netip.AddrPort]*config.Listener{
				netip.MustParseAddrPort("10.96.0.7:80"): {Name: "outbound/10.96.0.7:80", Origin: config.Origin{Kind: "Service", Namespace: "shop", Name: "cart"}},
			}}
		},
		Certificates: func() []admin.Certificate {
			return []admin.Certificate{{Use: "workload", ID: "spiffe://cluster.local/ns/shop/sa/cart"}}
		},
		ControlPlane: func() any { return map[string]bool{"connected": true} },
		Level:        new(slog.LevelVar),
		AccessLog:    func(*bool) {},
		Metrics:      http.NotFoundHandler(),
	}
}

func TestLocal(t *testing.T) {
	o := options()
	var access []string
	o.AccessLog = func(on *bool) {
		if on == nil {
			access = append(access, "mesh")
			return
		}
		access = append(access, fmt.Sprint(*on))
	}
	local := admin.Local(o)
	for _, tc := range []struct {
		path, want string
		code       int
	}{
		{"/ready", "no certificate yet", 503},
		{"/config_dump", `"10.96.0.7:80": {`, 200},
		{"/config_dump", `"Name": "cart"`, 200},
		{"/certs", "spiffe://cluster.local/ns/shop/sa/cart", 200},
		{"/control_plane", `"connected": true`, 200},
		{"/logging?level=debug", "level: DEBUG", 200},
		{"/logging?level=loud", "use debug, info, warn or error", 400},
		{"/logging?access=on", "level: DEBUG", 200},
		{"/logging?access=mesh", "level: DEBUG", 200},
		{"/logging?access=perhaps", "use on, off or mesh", 400},
		{"/debug/pprof/", "goroutine", 200},
		{"/", "/config_dump", 200},
	} {
		if code, body := get(local, tc.path); code != tc.code || !strings.Contains(body, tc.want) {
			t.Errorf("%s: %d %.200s", tc.path, code, body)
		}
	}
	if got := strings.Join(access, " "); got != "true mesh" {
		t.Errorf("access log: %s", got)
	}
}

func TestHealthShowsNothingElse(t *testing.T) {
	handler := admin.Health(options())
	for path, want := range map[string]int{"/ready": 503, "/live": 200, "/config_dump": 404, "/debug/pprof/": 404, "/logging": 404, "/certs": 404} {
		if code, _ := get(handler, path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

func TestProbes(t *testing.T) {
	application := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/redirect":
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		case r.URL.Path == "/healthz" && r.URL.RawQuery == "full=1" && r.Host == "shop.example" && r.Header.Get("X-Probe") == "yes":
			_, _ = io.WriteString(w, "fine")
		default:
			http.Error(w, "broken", http.StatusInternalServerError)
		}
	})
	plain, secure := httptest.NewServer(application), httptest.NewTLSServer(application)
	defer plain.Close()
	defer secure.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	state := health.NewServer()
	state.SetServingStatus("cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(server, state)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	port := func(address string) uint16 {
		return netip.MustParseAddrPort(strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://")).Port()
	}
	headers := []mesh.ProbeHeader{{Name: "Host", Value: "shop.example"}, {Name: "X-Probe", Value: "yes"}}
	cart := "cart"
	o := options()
	o.Probes = admin.Prober{
		Address: netip.MustParseAddr("127.0.0.1"),
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		},
		Probes: []mesh.Probe{
			{Container: "http", Kind: mesh.ProbeReadiness, HTTP: &mesh.HTTPProbe{Port: port(plain.URL), Path: "/healthz?full=1", Headers: headers}},
			{Container: "http", Kind: mesh.ProbeLiveness, HTTP: &mesh.HTTPProbe{Port: port(plain.URL)}},
			{Container: "http", Kind: mesh.ProbeStartup, HTTP: &mesh.HTTPProbe{Port: port(plain.URL), Path: "/redirect"}},
			{Container: "https", Kind: mesh.ProbeReadiness, HTTP: &mesh.HTTPProbe{Scheme: "HTTPS", Port: port(secure.URL), Path: "/healthz?full=1", Headers: headers}},
			{Container: "tcp", Kind: mesh.ProbeReadiness, TCP: &mesh.TCPProbe{Port: port(plain.URL)}},
			{Container: "tcp", Kind: mesh.ProbeLiveness, TCP: &mesh.TCPProbe{Port: 1}},
			{Container: "grpc", Kind: mesh.ProbeReadiness, GRPC: &mesh.GRPCProbe{Port: port(listener.Addr().String())}},
			{Container: "grpc", Kind: mesh.ProbeLiveness, GRPC: &mesh.GRPCProbe{Port: port(listener.Addr().String()), Service: &cart}},
		},
	}
	handler := admin.Health(o)
	for _, tc := range []struct {
		path, want string
		code       int
	}{
		{"/probe/http/readiness", "fine", 200},
		{"/probe/http/liveness", "500 Internal Server Error: broken", 503},
		{"/probe/http/startup", "", 200},
		{"/probe/https/readiness", "fine", 200},
		{"/probe/tcp/readiness", "connected", 200},
		{"/probe/tcp/liveness", "refused", 503},
		{"/probe/grpc/readiness", "SERVING", 200},
		{"/probe/grpc/liveness", "NOT_SERVING", 503},
		{"/probe/grpc/startup", "no \"startup\" probe", 404},
		{"/probe/other/readiness", "no \"readiness\" probe", 404},
	} {
		if code, body := get(handler, tc.path); code != tc.code || !strings.Contains(body, tc.want) {
			t.Errorf("%s: %d %s", tc.path, code, body)
		}
	}
}
