package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds/server"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/xdsclient"
	"github.com/leno-mesh/leno/test/poll"
)

// plane is a server on an in-memory connection. The peer's identity comes from the header "identity".
type plane struct {
	*server.Server
	listener atomic.Pointer[bufconn.Listener] // of the gRPC server that runs now
	grpc     *grpc.Server
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t *testing.T, o server.Options) *plane {
	t.Helper()
	if o.Peer == nil {
		o.Peer = func(ctx context.Context) (string, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			if ids := md.Get("identity"); len(ids) == 1 {
				return ids[0], nil
			}
			return "", fmt.Errorf("no identity")
		}
	}
	o.Log = quiet()
	p := &plane{Server: server.New(o)}
	p.serve()
	t.Cleanup(func() { p.grpc.Stop() })
	return p
}

func (p *plane) serve() {
	l := bufconn.Listen(1 << 16)
	p.listener.Store(l)
	p.grpc = grpc.NewServer(server.GRPCOptions()...)
	p.Register(p.grpc)
	go p.grpc.Serve(l)
}

func (p *plane) dial(identity string) (*grpc.ClientConn, error) {
	with := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "identity", identity)
	}
	l := p.listener.Load()
	return grpc.NewClient("passthrough:///control-plane",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, m string, s grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			return s(with(ctx), d, cc, m, o...)
		}))
}

// acknowledged tells whether the one connected proxy has acknowledged all that was sent.
func (p *plane) acknowledged() bool {
	list := p.Proxies()
	for _, one := range list {
		for _, t := range one.Types {
			if t.Unacked > 0 {
				return false
			}
		}
	}
	return len(list) == 1
}

// proxy runs a client of the pod until the test ends.
func (p *plane) proxy(t *testing.T, pod mesh.Name, identity string, o xdsclient.Options) *proxy {
	t.Helper()
	c := &proxy{configs: make(chan *config.Config, 1000), bundles: make(chan string, 10)}
	o.NodeID = "sidecar~" + pod.String()
	o.Log = quiet()
	o.Connect = func(context.Context) (*grpc.ClientConn, error) { return p.dial(identity) }
	o.OnConfig = func(cfg *config.Config) {
		if err := config.Check(cfg); err != nil {
			t.Errorf("inconsistent configuration: %v", err)
		}
		c.configs <- cfg
	}
	o.OnBundle = func(pem []byte) { c.bundles <- string(pem) }
	if o.Backoff == nil {
		o.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	c.Client = xdsclient.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	c.stop = func() { cancel(); <-done }
	t.Cleanup(c.stop)
	return c
}

type proxy struct {
	*xdsclient.Client
	configs chan *config.Config
	bundles chan string
	stop    func()
}

// until waits for a configuration that is as wanted.
func (c *proxy) until(t *testing.T, what string, ok func(*config.Config) bool) *config.Config {
	t.Helper()
	deadline := time.After(5 * time.Second)
	if cfg := c.Config(); ok(cfg) {
		return cfg
	}
	for {
		select {
		case cfg := <-c.configs:
			if ok(cfg) {
				return cfg
			}
		case <-deadline:
			t.Fatalf("no configuration with %s", what)
		}
	}
}

func (c *proxy) outbound(t *testing.T, dst string) *config.Config {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	cfg, ok := c.Outbound(ctx, netip.MustParseAddrPort(dst))
	if !ok {
		t.Fatalf("%s did not become known", dst)
	}
	return cfg
}

// eventually polls for something that no channel tells.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	poll.Until(t, 5*time.Second, what, ok)
}

// fleet is a mesh of n services svc-0, svc-1, … with one endpoint each, and the client pod.
func fleet(n int) *mesh.Mesh {
	m := &mesh.Mesh{
		Settings:     mesh.Settings{MTLS: mesh.MTLSPermissive, Outbound: mesh.OutboundAllow},
		Services:     map[mesh.Name]*mesh.Service{},
		Workloads:    map[mesh.Name]*mesh.Workload{client: {Name: client, Identity: clientID, Owner: "web"}},
		Frontends:    map[netip.AddrPort]mesh.ServicePort{},
		WorkloadByIP: map[netip.Addr]mesh.Name{netip.MustParseAddr("10.244.0.1"): client},
		Endpoints:    map[mesh.ServicePort][]mesh.Endpoint{},
	}
	for i := range n {
		name := mesh.Name{Namespace: "shop", Name: fmt.Sprintf("svc-%d", i)}
		sp := mesh.ServicePort{Name: name, Port: 80}
		vip := netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})
		rule := &mesh.Rule{Origin: mesh.Origin{Kind: "HTTPRoute", Namespace: "shop", Name: name.Name}, Backends: []mesh.Backend{{Service: sp, Weight: 1}}}
		m.Services[name] = &mesh.Service{Name: name, Addresses: []netip.Addr{vip}, Ports: []mesh.Port{{
			Number: 80, Protocol: mesh.ProtocolHTTP, Routes: &mesh.RouteTable{Entries: []mesh.Entry{{Rule: rule}}},
		}}}
		m.Frontends[netip.AddrPortFrom(vip, 80)] = sp
		m.Endpoints[sp] = []mesh.Endpoint{{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, byte(1 + i>>8), byte(i)}), 8080), Ready: true, Serving: true}}
	}
	return m
}

var client = mesh.Name{Namespace: "shop", Name: "web-1"}

const clientID = "spiffe://cluster.local/ns/shop/sa/web"
