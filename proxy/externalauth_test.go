package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// guarded is a pod whose cart service has one rule, with an authorization server in front.
func guarded(t *testing.T, backend netip.AddrPort, auth config.Cluster, action config.Action) *pod {
	t.Helper()
	web, _ := guardedIn(newMesh(t), backend, auth, action)
	return web
}

// guardedIn is the same in a mesh, with the pod's metrics.
func guardedIn(m *mesh, backend netip.AddrPort, auth config.Cluster, action config.Action) (*pod, *prometheus.Registry) {
	m.t.Helper()
	registry := prometheus.NewRegistry()
	web := m.pod("web", netip.AddrPort{}, func(o *proxy.Options) { o.Counters = telemetry.NewCounters(registry) })
	web.knows(cartService, config.Detect, config.Endpoint{Address: backend})
	auth.Name = "auth"
	web.control.change(func(c *config.Config) {
		c.Clusters = maps.Clone(c.Clusters)
		c.Clusters[auth.Name] = &auth
	})
	policy := *action.ExternalAuth
	policy.Cluster, policy.Authority = auth.Name, "auth.shop:80"
	if policy.Timeout == 0 {
		policy.Timeout = 10 * time.Second
	}
	action.ExternalAuth = &policy
	if action.Redirect == nil {
		action.Backends = []config.Backend{{Cluster: cartService.String(), Weight: 1}}
	}
	web.routes(cartService, []config.Entry{{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: &action}})
	return web, registry
}

// decisions counts what became of questions to authorization servers, by outcome.
func decisions(registry *prometheus.Registry) map[string]uint64 {
	out := map[string]uint64{}
	for _, family := range must(registry.Gather()) {
		if family.GetName() != "leno_external_auth_duration_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "outcome" {
					out[label.GetValue()] = metric.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return out
}

// cart answers with what of a request matters here.
func cart(t *testing.T) (netip.AddrPort, *atomic.Int32) {
	seen := &atomic.Int32{}
	return app2(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s host=%s user=%s secret=%s body=%s trailer=%s", r.Method, r.RequestURI, r.Host,
			r.Header.Get("X-User"), r.Header.Get("X-Secret"), body, r.Trailer.Get("X-Sum"))
	}), seen
}

var clients = map[string]func(*pod, netip.AddrPort) *http.Client{"HTTP/1.1": client1, "HTTP/2": client2}

// TestExternalAuth (GEP-1494) over HTTP, between all versions of it.
func TestExternalAuth(t *testing.T) {
	for name, client := range clients {
		for version, to := range map[config.HTTPVersion]string{config.SameHTTP: "HTTP/1.1", config.HTTP2Only: "HTTP/2"} {
			t.Run(name+" asks in "+to, func(t *testing.T) {
				var question atomic.Value
				rewritten := "/rewritten"
				server := app2(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					question.Store(fmt.Sprintf("%s %s %s host=%s length=%d auth=%s allowed=%s secret=%s body=%s", r.Proto, r.Method, r.RequestURI, r.Host,
						r.ContentLength, r.Header.Get("Authorization"), r.Header.Get("X-Allowed"), r.Header.Get("X-Secret"), body))
					switch r.URL.Path {
					case "/check/denied":
						w.Header().Set("X-Why", "because")
						w.WriteHeader(http.StatusUnauthorized)
						_, _ = io.WriteString(w, "who are you?")
					case "/check/large":
						w.WriteHeader(http.StatusForbidden)
						_, _ = w.Write(bytes.Repeat([]byte("a"), config.MaxAuthRefusal+1))
					case "/check/failing":
						w.WriteHeader(http.StatusInternalServerError)
					default:
						w.Header().Set("X-User", "ann")
						w.Header().Set("X-Other", "other")
					}
				})
				backend, seen := cart(t)
				web, metrics := guardedIn(newMesh(t), backend, config.Cluster{HTTP: version, Endpoints: []config.Endpoint{{Address: server}}}, config.Action{
					ExternalAuth:   &config.ExternalAuth{PathPrefix: "/check", RequestHeaders: []string{"x-allowed"}, ResponseHeaders: []string{"x-user"}, MaxBody: 10},
					Rewrite:        &config.Rewrite{Path: &config.PathChange{Full: &rewritten}},
					RequestHeaders: &config.HeaderChange{Remove: []string{"x-secret"}},
				})
				c := client(web, cartService)
				ask := func(method, path, body string) (*http.Response, string) {
					t.Helper()
					r := request(t, method, path, strings.NewReader(body))
					r.Header = http.Header{"Authorization": {"me"}, "X-Allowed": {"a"}, "X-Secret": {"s"}, "X-User": {"forged"}}
					resp, text := do(t, c, r)
					return resp, string(text)
				}
				for _, body := range []string{"", "0123456789"} {
					resp, text := ask("PUT", "/a?b=c", body)
					if want := "PUT /rewritten?b=c host=cart.shop user=ann secret= body=" + body + " trailer="; resp.StatusCode != 200 || text != want {
						t.Errorf("status %d, %q, want %q", resp.StatusCode, text, want)
					}
					want := fmt.Sprintf("%s PUT /check/a?b=c host=cart.shop length=%d auth=me allowed=a secret= body=%s", protos[to], len(body), body)
					if got := question.Load(); got != want {
						t.Errorf("the question was %q, want %q", got, want)
					}
				}
				if resp, text := ask("GET", "/denied", ""); resp.StatusCode != 401 || text != "who are you?" || resp.Header.Get("X-Why") != "because" {
					t.Errorf("%v, %q", resp, text)
				}
				if resp, text := ask("HEAD", "/denied", ""); resp.StatusCode != 401 || text != "" {
					t.Errorf("HEAD: %v, %q", resp, text)
				}
				if resp, text := ask("GET", "/large", ""); resp.StatusCode != 403 || len(text) != config.MaxAuthRefusal {
					t.Errorf("a long refusal: %v, %d bytes", resp, len(text))
				}
				if resp, text := ask("GET", "/failing", ""); resp.StatusCode != 503 || !strings.Contains(text, "has not decided") {
					t.Errorf("%v, %q", resp, text)
				}
				before := question.Swap("")
				if resp, _ := ask("PUT", "/", "01234567890"); resp.StatusCode != 413 || question.Load() != "" {
					t.Errorf("a body that is too long: %v, after %v", resp, before)
				}
				if got := seen.Load(); got != 2 {
					t.Errorf("the backend has got %d requests, want 2", got)
				}
				wait(t, &web.records, func() []telemetry.Request { return web.records.requests }, func(r telemetry.Request) bool { return r.Code == 401 && r.Flag == "auth_denied" })
				wait(t, &web.records, func() []telemetry.Request { return web.records.requests }, func(r telemetry.Request) bool { return r.Code == 503 && r.Flag == "auth_failed" })
				if got, want := decisions(metrics), (map[string]uint64{"allowed": 2, "denied": 3, "failed": 1}); !maps.Equal(got, want) {
					t.Errorf("metrics %v, want %v", got, want)
				}
			})
		}
	}
}

var protos = map[string]string{"HTTP/1.1": "HTTP/1.1", "HTTP/2": "HTTP/2.0"}

// TestBodiesThatAreHeld: the server is told a body of any framing and length, and the backend gets the same.
func TestBodiesThatAreHeld(t *testing.T) {
	const most = 1 << 20
	for name, client := range clients {
		for version, to := range map[config.HTTPVersion]string{config.HTTP1Only: "HTTP/1.1", config.HTTP2Only: "HTTP/2"} {
			t.Run(name+" to "+to, func(t *testing.T) {
				var told atomic.Int64
				server := app2(t, func(_ http.ResponseWriter, r *http.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					told.Store(n)
				})
				backend := app2(t, func(w http.ResponseWriter, r *http.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					_, _ = fmt.Fprint(w, n, r.Trailer.Get("X-Sum"))
				})
				web := guarded(t, backend, config.Cluster{Endpoints: []config.Endpoint{{Address: server}}}, config.Action{ExternalAuth: &config.ExternalAuth{MaxBody: most}})
				web.control.change(func(c *config.Config) {
					c.Clusters = maps.Clone(c.Clusters)
					cart := *c.Clusters[cartService.String()]
					cart.HTTP = version
					c.Clusters[cartService.String()] = &cart
				})
				c := client(web, cartService)
				for _, size := range []int{1, 100 << 10, most} {
					for _, framing := range []string{"sized", "chunked", "trailers", "expected"} {
						r := request(t, "POST", "/", bytes.NewReader(make([]byte, size)))
						want := fmt.Sprint(size)
						switch framing {
						case "chunked":
							r.ContentLength = -1
						case "trailers":
							r.ContentLength, r.Trailer = -1, http.Header{"X-Sum": {" sum"}}
							want += "sum"
						case "expected":
							r.Header.Set("Expect", "100-continue")
						}
						resp, text := do(t, c, r)
						if resp.StatusCode != 200 || string(text) != want || told.Load() != int64(size) {
							t.Errorf("%d octets, %s: status %d, the backend got %q, the server %d", size, framing, resp.StatusCode, text, told.Load())
						}
					}
				}
				for _, length := range []int64{most + 1, -1} {
					r := request(t, "POST", "/", bytes.NewReader(make([]byte, most+1)))
					r.ContentLength = length
					resp, err := c.Do(r)
					if err != nil { // the rest of it met a closed connection
						continue
					}
					_ = resp.Body.Close()
					if resp.StatusCode != 413 {
						t.Errorf("a body that is too long, announced as %d: %v", length, resp)
					}
				}
			})
		}
	}
}

// TestServersThatDoNotDecide: nobody is let in then.
func TestServersThatDoNotDecide(t *testing.T) {
	silent := tcpApp(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	closing := tcpApp(t, func(conn net.Conn) { _ = conn.Close() })
	garbled := tcpApp(t, func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		_, _ = conn.Read(make([]byte, 1<<10))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
	})
	switching := tcpApp(t, func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		_, _ = conn.Read(make([]byte, 1<<10))
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: yes\r\n\r\n")
	})
	at := func(address netip.AddrPort) []config.Endpoint { return []config.Endpoint{{Address: address}} }
	for name, tc := range map[string]struct {
		auth    config.Cluster
		policy  config.ExternalAuth
		timeout time.Duration // of the rule
		status  int
	}{
		"no endpoints":                     {status: 503},
		"a cluster that fails":             {auth: config.Cluster{Endpoints: at(silent), Fail: &config.Failure{Status: 500, Reason: "bad"}}, status: 503},
		"no connection":                    {auth: config.Cluster{Endpoints: at(unused(t))}, status: 503},
		"no answer":                        {auth: config.Cluster{Endpoints: at(closing)}, status: 503},
		"an answer that is none":           {auth: config.Cluster{Endpoints: at(garbled)}, status: 503},
		"a tunnel":                         {auth: config.Cluster{Endpoints: at(switching)}, status: 503},
		"no answer in time":                {auth: config.Cluster{Endpoints: at(silent)}, policy: config.ExternalAuth{Timeout: 50 * time.Millisecond}, status: 503},
		"no answer in the rule's time":     {auth: config.Cluster{Endpoints: at(silent)}, timeout: 50 * time.Millisecond, status: 504},
		"no answer over gRPC":              {auth: config.Cluster{Endpoints: at(closing)}, policy: config.ExternalAuth{GRPC: true}, status: 503},
		"no answer in time over gRPC":      {auth: config.Cluster{Endpoints: at(silent)}, policy: config.ExternalAuth{GRPC: true, Timeout: 50 * time.Millisecond}, status: 503},
		"no connection over gRPC":          {auth: config.Cluster{Endpoints: at(unused(t))}, policy: config.ExternalAuth{GRPC: true}, status: 503},
		"an answer that is none over gRPC": {auth: config.Cluster{Endpoints: at(app2(t, talkative))}, policy: config.ExternalAuth{GRPC: true}, status: 503},
	} {
		for version, client := range clients {
			t.Run(name+"/"+version, func(t *testing.T) {
				backend, seen := cart(t)
				web := guarded(t, backend, tc.auth, config.Action{ExternalAuth: &tc.policy, Timeout: tc.timeout})
				if resp, text := do(t, client(web, cartService), request(t, "GET", "/", nil)); resp.StatusCode != tc.status || seen.Load() != 0 {
					t.Errorf("status %d, %q, and the backend has got %d requests", resp.StatusCode, text, seen.Load())
				}
			})
		}
	}
}

// unused is an address at which nobody listens.
func unused(t *testing.T) netip.AddrPort {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { _ = l.Close() })
	at := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	return at
}

// A server that is told that nobody waits any more is not asked on.
func TestClientsThatDoNotWaitForADecision(t *testing.T) {
	for version, client := range clients {
		t.Run(version, func(t *testing.T) {
			asked, over := make(chan struct{}), make(chan struct{})
			var once sync.Once
			server := app2(t, func(_ http.ResponseWriter, r *http.Request) {
				once.Do(func() { close(asked) })
				<-r.Context().Done()
				close(over)
			})
			backend, seen := cart(t)
			web := guarded(t, backend, config.Cluster{Endpoints: []config.Endpoint{{Address: server}}}, config.Action{
				ExternalAuth: &config.ExternalAuth{}, Timeout: 5 * time.Second,
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			if resp, err := client(web, cartService).Do(request(t, "GET", "/", nil).WithContext(ctx)); err == nil {
				_ = resp.Body.Close()
				t.Error("there was an answer")
			}
			<-over
			if seen.Load() != 0 {
				t.Error("the backend has got a request that was not decided about")
			}
		})
	}
}

// The question goes through the mesh like any other request, and to another endpoint where one's application is not there.
func TestServersInTheMesh(t *testing.T) {
	for version, client := range clients {
		for _, http2 := range []config.HTTPVersion{config.SameHTTP, config.HTTP2Only} {
			t.Run(fmt.Sprint(version, http2), func(t *testing.T) {
				m := newMesh(t)
				dead := m.pod("dead", unused(t), nil)
				auth := m.pod("auth", app2(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-User", "ann") }), nil)
				backend, _ := cart(t)
				web, _ := guardedIn(m, backend, config.Cluster{HTTP: http2, Endpoints: []config.Endpoint{dead.endpoint(), auth.endpoint()}}, config.Action{ExternalAuth: &config.ExternalAuth{}})
				c := client(web, cartService)
				for range 4 {
					if resp, text := do(t, c, request(t, "GET", "/", nil)); resp.StatusCode != 200 || !strings.Contains(string(text), "user=ann") {
						t.Errorf("%d %q", resp.StatusCode, text)
					}
				}
				wait(t, &auth.records, func() []telemetry.Request { return auth.records.requests }, func(r telemetry.Request) bool {
					return r.MTLS && r.Source.Identity == web.id.String()
				})
			})
		}
	}
}

// Whoever may not pass is not told where to go instead.
func TestExternalAuthBeforeRedirects(t *testing.T) {
	for version, client := range clients {
		t.Run(version, func(t *testing.T) {
			server := app2(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/denied" {
					w.WriteHeader(http.StatusForbidden)
				}
			})
			web := guarded(t, netip.AddrPort{}, config.Cluster{Endpoints: []config.Endpoint{{Address: server}}}, config.Action{
				ExternalAuth: &config.ExternalAuth{}, Redirect: &config.Redirect{Status: 302, Hostname: "elsewhere.example"},
			})
			c := client(web, cartService)
			c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			if resp, _ := do(t, c, request(t, "GET", "/denied", nil)); resp.StatusCode != 403 {
				t.Errorf("%v", resp)
			}
			if resp, _ := do(t, c, request(t, "GET", "/", nil)); resp.StatusCode != 302 {
				t.Errorf("%v", resp)
			}
		})
	}
}

// authorizer is an authorization server of gRPC.
type authorizer struct {
	authv3.UnimplementedAuthorizationServer
	mu    sync.Mutex // guards asked
	asked []*authv3.CheckRequest
}

func (a *authorizer) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	a.mu.Unlock()
	option := func(name, value string) *corev3.HeaderValueOption {
		return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
	}
	switch path := r.GetAttributes().GetRequest().GetHttp().GetPath(); {
	case strings.HasPrefix(path, "/failing"):
		return nil, grpcstatus.Error(codes.Internal, "out of order")
	case !strings.HasPrefix(path, "/denied"):
		return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{option("X-User", "ann")}, HeadersToRemove: []string{"X-Secret"},
			ResponseHeadersToAdd: []*corev3.HeaderValueOption{option("X-Seen", "yes")},
		}}}, nil
	}
	return &authv3.CheckResponse{Status: &status.Status{Code: 7}, HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: 401}, Headers: []*corev3.HeaderValueOption{option("X-Why", "because")}, Body: "who are you?",
	}}}, nil
}

// TestExternalAuthOverGRPC asks in Envoy's protocol, as ever in HTTP/2.
func TestExternalAuthOverGRPC(t *testing.T) {
	server := &authorizer{}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	s := grpc.NewServer()
	authv3.RegisterAuthorizationServer(s, server)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	auth := config.Cluster{Endpoints: []config.Endpoint{{Address: l.Addr().(*net.TCPAddr).AddrPort()}}}
	for version, client := range clients {
		t.Run(version, func(t *testing.T) {
			backend, seen := cart(t)
			web := guarded(t, backend, auth, config.Action{ExternalAuth: &config.ExternalAuth{GRPC: true, MaxBody: 1 << 20}})
			c := client(web, cartService)
			body := strings.Repeat("a", 200<<10)
			r := request(t, "POST", "/?a", strings.NewReader(body))
			r.Header = http.Header{"X-Secret": {"s"}, "X-User": {"forged"}}
			resp, text := do(t, c, r)
			if resp.StatusCode != 200 || string(text) != "POST /?a host=cart.shop user=ann secret= body="+body+" trailer=" || resp.Header.Get("X-Seen") != "yes" {
				t.Errorf("%v, %.100q", resp, text)
			}
			server.mu.Lock()
			last := server.asked[len(server.asked)-1].GetAttributes()
			server.mu.Unlock()
			h := last.GetRequest().GetHttp()
			if h.GetMethod() != "POST" || h.GetPath() != "/?a" || h.GetHost() != "cart.shop" || h.GetScheme() != "http" || h.GetProtocol() != version ||
				h.GetHeaders()["x-secret"] != "s" || string(h.GetRawBody()) != body || last.GetSource().GetAddress().GetSocketAddress().GetAddress() != "127.0.0.1" ||
				last.GetDestination().GetAddress().GetSocketAddress().GetPortValue() != uint32(cartService.Port()) {
				t.Errorf("attributes %.1000v", last)
			}
			if resp, text := do(t, c, request(t, "GET", "/denied", nil)); resp.StatusCode != 401 || string(text) != "who are you?" || resp.Header.Get("X-Why") != "because" {
				t.Errorf("%v, %q", resp, text)
			}
			if resp, text := do(t, c, request(t, "GET", "/failing", nil)); resp.StatusCode != 503 {
				t.Errorf("%v, %q", resp, text)
			}
			if got := seen.Load(); got != 1 {
				t.Errorf("the backend has got %d requests, want 1", got)
			}
		})
	}
}

// TestCallsThatMayNotPass: a gRPC call is told by a status.
func TestCallsThatMayNotPass(t *testing.T) {
	for want, answer := range map[codes.Code]int{codes.OK: 200, codes.Unauthenticated: 401, codes.PermissionDenied: 403, codes.Unavailable: 500} {
		t.Run(want.String(), func(t *testing.T) {
			server := app2(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) })
			b := &backend{}
			web := guarded(t, b.serve(t), config.Cluster{Endpoints: []config.Endpoint{{Address: server}}}, config.Action{ExternalAuth: &config.ExternalAuth{}})
			client, _ := web.stub(cartService)
			_, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{})
			if grpcstatus.Code(err) != want || (b.calls.Load() == 1) != (want == codes.OK) {
				t.Errorf("%v, and the backend has got %d calls", err, b.calls.Load())
			}
		})
	}
}

// Connections to the server are used again, and a question is asked again where one had been closed meanwhile.
func TestConnectionsToServersAreKept(t *testing.T) {
	var mu sync.Mutex
	var conns []net.Conn
	server := tcpApp(t, func(conn net.Conn) {
		mu.Lock()
		conns = append(conns, conn)
		mu.Unlock()
		for b := make([]byte, 1<<10); ; {
			if _, err := conn.Read(b); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	backend, _ := cart(t)
	web := guarded(t, backend, config.Cluster{Endpoints: []config.Endpoint{{Address: server}}}, config.Action{ExternalAuth: &config.ExternalAuth{}})
	c := client1(web, cartService)
	ask := func(want int) {
		t.Helper()
		if resp, _ := do(t, c, request(t, "GET", "/", nil)); resp.StatusCode != 200 {
			t.Fatal(resp)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(conns) != want {
			t.Errorf("%d connections, want %d", len(conns), want)
		}
	}
	ask(1)
	ask(1)
	mu.Lock()
	first := conns[0]
	mu.Unlock()
	_ = first.Close()
	ask(2)
}
