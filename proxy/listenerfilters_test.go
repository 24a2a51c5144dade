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
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/proxy/config"
)

// asks makes the table of the pod's cart service one whose listener asks servers first, as policies say. action, without backends, goes
// to the cart.
func (p *pod) asks(action config.Action, servers []netip.AddrPort, policies ...config.ExternalAuth) {
	action.Backends = []config.Backend{{Cluster: cartService.String(), Weight: 1}}
	p.routes(cartService, []config.Entry{{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: &action}})
	p.control.change(func(c *config.Config) {
		c.Clusters, c.Routes = maps.Clone(c.Clusters), maps.Clone(c.Routes)
		host := config.Host{Names: []string{"*"}, Entries: 1}
		for i, server := range servers {
			name := fmt.Sprintf("filter %d", i)
			c.Clusters[name] = &config.Cluster{Name: name, Endpoints: []config.Endpoint{{Address: server}}}
			policy := policies[i]
			policy.Cluster, policy.Authority, policy.Timeout = name, "auth.shop:80", 10*time.Second
			host.Filters = append(host.Filters, &policy)
		}
		table := *c.Routes["table"]
		table.Hosts = []config.Host{host}
		c.Routes["table"] = &table
	})
}

// reader is a server that counts what it is told of bodies; wait, which is optional, comes before its answer.
func reader(t *testing.T, told *atomic.Int64, wait func()) netip.AddrPort {
	return app2(t, func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		told.Store(n)
		if wait != nil {
			wait()
		}
	})
}

// paced is a body of which a part is sent, and sent is closed, before a server that waits for that has decided.
func paced(size int, sent chan struct{}) io.Reader {
	body, into := io.Pipe()
	go func() {
		part := min(size, 30<<10)
		_, _ = into.Write(make([]byte, part)) // fails where nobody wants it any more
		close(sent)
		_, _ = io.Copy(into, bytes.NewReader(make([]byte, size-part)))
		_ = into.Close()
	}()
	return body
}

// TestBodiesAfterSeveralServers: each is told what it may be, and the backend and its mirror get all of it, also what came while a
// server was asked that is told nothing, and after a connection to the backend failed.
func TestBodiesAfterSeveralServers(t *testing.T) {
	const most = 1 << 20
	for name, client := range clients {
		for version, to := range map[config.HTTPVersion]string{config.HTTP1Only: "HTTP/1.1", config.HTTP2Only: "HTTP/2"} {
			t.Run(name+" to "+to, func(t *testing.T) {
				var quick, whole atomic.Int64
				var sent atomic.Value
				servers := []netip.AddrPort{reader(t, &quick, func() { <-sent.Load().(chan struct{}) }), reader(t, &whole, nil)}
				mirrored := make(chan int64, 100)
				sink := app2(t, func(_ http.ResponseWriter, r *http.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					mirrored <- n
				})
				backend := app2(t, func(w http.ResponseWriter, r *http.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					_, _ = fmt.Fprint(w, n, r.Trailer.Get("X-Sum"))
				})
				web := newMesh(t).pod("web", netip.AddrPort{}, nil)
				web.knows(cartService, config.Detect, config.Endpoint{Address: unused(t)}, config.Endpoint{Address: backend})
				web.asks(config.Action{Mirrors: []config.Mirror{{Cluster: "mirror", Numerator: 1, Denominator: 1}}}, servers, config.ExternalAuth{}, config.ExternalAuth{MaxBody: most})
				web.control.change(func(c *config.Config) {
					c.Clusters = maps.Clone(c.Clusters)
					cart := *c.Clusters[cartService.String()]
					cart.HTTP = version
					c.Clusters[cartService.String()] = &cart
					c.Clusters["mirror"] = &config.Cluster{Name: "mirror", Endpoints: []config.Endpoint{{Address: sink}}}
				})
				c := client(web, cartService)
				for _, size := range []int{1, 20 << 10, 100 << 10, most} {
					for _, framing := range []string{"sized", "chunked", "trailers"} {
						begun := make(chan struct{})
						sent.Store(begun)
						r := request(t, "POST", "/", paced(size, begun))
						want := fmt.Sprint(size)
						switch framing {
						case "sized":
							r.ContentLength = int64(size)
						case "trailers":
							r.Trailer = http.Header{"X-Sum": {" sum"}}
							want += "sum"
						}
						resp, text := do(t, c, r)
						if resp.StatusCode != 200 || string(text) != want || quick.Load() != 0 || whole.Load() != int64(size) {
							t.Errorf("%d octets, %s: status %d, the backend got %q, the servers %d and %d", size, framing, resp.StatusCode, text, quick.Load(), whole.Load())
						}
						if size <= 100<<10 {
							if n := <-mirrored; n != int64(size) {
								t.Errorf("%d octets, %s: %d were mirrored", size, framing, n)
							}
						}
					}
				}
			})
		}
	}
}

// TestBodiesThatOneServerMayNotBeTold: the limit of each counts, also where another one has been told.
func TestBodiesThatOneServerMayNotBeTold(t *testing.T) {
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			var first, second, own atomic.Int64
			backend, seen := cart(t)
			web := newMesh(t).pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.Detect, config.Endpoint{Address: backend})
			web.control.change(func(c *config.Config) {
				c.Clusters = maps.Clone(c.Clusters)
				c.Clusters["own"] = &config.Cluster{Name: "own", Endpoints: []config.Endpoint{{Address: reader(t, &own, nil)}}}
			})
			web.asks(config.Action{ExternalAuth: &config.ExternalAuth{Cluster: "own", MaxBody: 5, Timeout: 10 * time.Second}},
				[]netip.AddrPort{reader(t, &first, nil), reader(t, &second, nil)}, config.ExternalAuth{MaxBody: 20}, config.ExternalAuth{MaxBody: 10})
			c := client(web, cartService)
			for size, want := range map[int]struct {
				status             int
				first, second, own int64
			}{
				21: {413, -1, -1, -1}, 11: {413, 11, -1, -1}, 10: {413, 10, 10, -1}, 5: {200, 5, 5, 5},
			} {
				for _, length := range []int64{int64(size), -1} {
					first.Store(-1)
					second.Store(-1)
					own.Store(-1)
					before := seen.Load()
					r := request(t, "POST", "/", bytes.NewReader(make([]byte, size)))
					r.ContentLength = length
					resp, text := do(t, c, r)
					if resp.StatusCode != want.status || first.Load() != want.first || second.Load() != want.second || own.Load() != want.own || (seen.Load() > before) != (want.status == 200) {
						t.Errorf("%d octets, announced as %d: status %d, %q, the servers were told %d, %d and %d", size, length, resp.StatusCode, text, first.Load(), second.Load(), own.Load())
					}
				}
			}
		})
	}
}

// signs is an authorization server of gRPC that lets everybody in, and signs responses.
type signs struct {
	authv3.UnimplementedAuthorizationServer
	name string
}

func (s signs) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	signed := &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: "X-Signed", Value: s.name}, Append: wrapperspb.Bool(true), //nolint:staticcheck // what servers say
	}
	return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{signed},
	}}}, nil
}

func (s signs) start(t *testing.T) netip.AddrPort {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, s)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// TestResponsesGoBackThroughFilters: what servers want of a response is done from the inside out, the listener's after the rule's.
func TestResponsesGoBackThroughFilters(t *testing.T) {
	servers := []netip.AddrPort{signs{name: "first"}.start(t), signs{name: "second"}.start(t)}
	own := signs{name: "own"}.start(t)
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			backend, _ := cart(t)
			web := newMesh(t).pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.Detect, config.Endpoint{Address: backend})
			web.control.change(func(c *config.Config) {
				c.Clusters = maps.Clone(c.Clusters)
				c.Clusters["own"] = &config.Cluster{Name: "own", Endpoints: []config.Endpoint{{Address: own}}}
			})
			c := client(web, cartService)
			c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			rule := config.Action{
				ExternalAuth:    &config.ExternalAuth{Cluster: "own", Authority: "auth.shop:80", GRPC: true, Timeout: 10 * time.Second},
				ResponseHeaders: &config.HeaderChange{Set: []config.Header{{Name: "x-signed", Value: "rule"}}},
			}
			moved := rule
			moved.Redirect = &config.Redirect{Status: 302, Hostname: "elsewhere.example"}
			for status, action := range map[int]config.Action{200: rule, 302: moved} {
				web.asks(action, servers, config.ExternalAuth{GRPC: true}, config.ExternalAuth{GRPC: true})
				resp, text := do(t, c, request(t, "GET", "/", nil))
				if got := fmt.Sprint(resp.Header["X-Signed"]); resp.StatusCode != status || got != "[rule own second first]" {
					t.Errorf("status %d, %q, signed by %s", resp.StatusCode, text, got)
				}
			}
		})
	}
}
