package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds/server"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/test/poll"
	"github.com/leno-mesh/leno/test/records"
)

const (
	trustDomain = "cluster.local"
	managerName = "manager.test"
	// patience is how long a test waits for something that must happen.
	patience = 20 * time.Second
	// takenPort is one that cannot be opened.
	takenPort = 666
)

var (
	name = mesh.Name{Namespace: "edge", Name: "gw"}
	pod  = mesh.Name{Namespace: "edge", Name: "gw-1"}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Gateway is a running gateway with its control plane.
type Gateway struct {
	t       *testing.T
	ca      *devca.CA
	xds     *server.Server
	manager string
	log     *slog.Logger
	Admin   net.Addr
	Health  net.Addr
	Records *records.Records
	// Log is the access log and the proxy's own.
	Log *lines
	// Stop tells the proxy to drain; Ended is closed when it has.
	Stop  context.CancelFunc
	Ended chan struct{}

	mu    sync.Mutex // guards what follows
	mesh  *mesh.Mesh
	open  map[uint16]string       // addresses by port
	names map[string][]netip.Addr // what DNS says
	awake chan struct{}           // DNS says nothing before it is closed
}

// authority enrols pods whose token is "namespace/account/pod".
type authority struct{ *devca.CA }

func (a authority) Authenticate(_ context.Context, token string) (enroll.Caller, error) {
	parts := strings.Split(token, "/")
	if len(parts) != 3 {
		return enroll.Caller{}, enroll.ErrRefused
	}
	return enroll.Caller{Namespace: parts[0], ServiceAccount: parts[1], Pod: parts[2]}, nil
}

func (a authority) Sign(_ context.Context, who enroll.Caller, der []byte) (chain, roots []byte, err error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, err
	}
	chain, err = a.Workload(must(identity.New(trustDomain, who.Namespace, who.ServiceAccount)), csr.PublicKey, time.Hour)
	return chain, a.Bundle().PEM(), err
}

// Start runs a gateway with ports. Everything ends with the test.
func Start(t *testing.T, ports ...mesh.GatewayPort) *Gateway {
	t.Helper()
	g := &Gateway{
		t: t, ca: must(devca.New(time.Hour)), Records: &records.Records{}, Log: &lines{}, open: map[uint16]string{}, names: map[string][]netip.Addr{}, awake: make(chan struct{}), Ended: make(chan struct{}),
		mesh: &mesh.Mesh{
			Settings: mesh.Settings{TrustDomain: trustDomain, MTLS: mesh.MTLSPermissive, AccessLog: true},
			Services: map[mesh.Name]*mesh.Service{}, XBackends: map[mesh.Name]*mesh.Service{}, Frontends: map[netip.AddrPort]mesh.ServicePort{}, WorkloadByIP: map[netip.Addr]mesh.Name{},
			Endpoints: map[mesh.ServicePort][]mesh.Endpoint{},
			Workloads: map[mesh.Name]*mesh.Workload{pod: {
				Name: pod, ServiceAccount: "gw-leno", Identity: "spiffe://cluster.local/ns/edge/sa/gw-leno", Gateway: name, Owner: "gw",
			}},
			Gateways: map[mesh.Name]*mesh.Gateway{name: {Name: name, Origin: mesh.Origin{Kind: "Gateway", Namespace: "edge", Name: "gw"}, Ports: ports}},
		},
	}
	g.log = slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), g.Log), &slog.HandlerOptions{Level: slog.LevelDebug}))
	g.startPlane()
	g.start()
	return g
}

// startPlane runs enrolment and ADS.
func (g *Gateway) startPlane() {
	a := authority{g.ca}
	certificate := must(g.ca.Server(time.Hour, managerName))
	grpcServer := grpc.NewServer(append(server.GRPCOptions(), grpc.Creds(credentials.NewTLS(identity.ManagerServerTLS(
		func() (*tls.Certificate, error) { return certificate, nil }, g.ca.Bundle))))...)
	enroll.NewServer(a, a, trustDomain).Register(grpcServer)
	g.xds = server.New(server.Options{Log: g.log})
	g.xds.Register(grpcServer)
	if err := g.xds.PublishBundle(g.ca.Bundle().PEM()); err != nil {
		g.t.Fatal(err)
	}
	g.xds.Publish(g.mesh)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = grpcServer.Serve(listener) }()
	g.t.Cleanup(grpcServer.Stop)
	g.manager = listener.Addr().String()
}

// settings are those of any proxy of the mesh.
func (g *Gateway) settings(who mesh.Name, account string) sidecar.Config {
	return sidecar.Config{
		Namespace: who.Namespace, Pod: who.Name, ServiceAccount: account, TrustDomain: trustDomain,
		Manager: g.manager, ManagerName: managerName,
		Token: func() (string, error) { return who.Namespace + "/" + account + "/" + who.Name, nil },
		Roots: func() (*identity.Bundle, error) { return g.ca.Bundle(), nil },
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", to.String())
		},
		Lookup:    g.lookup,
		Drain:     proxy.Drain{Max: 10 * time.Second, Quiet: 50 * time.Millisecond, Settle: 300 * time.Millisecond},
		AccessLog: g.Log, Log: g.log, Level: new(slog.LevelVar),
	}
}

// start runs the gateway's proxy.
func (g *Gateway) start() {
	c := g.settings(pod, "gw-leno")
	c.Sink = g.Records
	c.Admin, c.Health = must(net.Listen("tcp", "127.0.0.1:0")), must(net.Listen("tcp", "127.0.0.1:0"))
	g.Admin, g.Health = c.Admin.Addr(), c.Health.Addr()
	c.Gateway = &proxy.Gateway{
		Listen: func(port uint16) ([]net.Listener, error) {
			if port == takenPort {
				return nil, syscall.EADDRINUSE
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			g.opened(port, listener.Addr())
			return []net.Listener{listener}, nil
		},
		ListenDatagrams: func(at netip.AddrPort) (*net.UDPConn, error) {
			socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err == nil {
				g.opened(at.Port(), socket.LocalAddr())
			}
			return socket, err
		},
		DialDatagrams: func(to netip.AddrPort) (*net.UDPConn, error) {
			return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	abort, end := context.WithCancel(context.Background())
	c.Drain.Abort = abort
	g.Stop = stop
	go func() {
		defer close(g.Ended)
		if err := sidecar.Run(ctx, c); err != nil {
			g.t.Error(err)
		}
	}()
	g.t.Cleanup(func() {
		stop()
		end()
		<-g.Ended
	})
}

func (g *Gateway) opened(port uint16, at net.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[port] = at.String()
}

// Address is where a port is, once it is open.
func (g *Gateway) Address(port uint16) string {
	g.t.Helper()
	address := ""
	g.Eventually(fmt.Sprintf("port %d is open", port), func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		address = g.open[port]
		return address != ""
	})
	return address
}

// Change publishes a mesh with a gateway that change has made out of the one before, and waits until the proxy has acknowledged it.
func (g *Gateway) Change(change func(*mesh.Mesh, *mesh.Gateway)) {
	g.t.Helper()
	next := *g.mesh
	one := *g.mesh.Gateways[name]
	next.Gateways = map[mesh.Name]*mesh.Gateway{name: &one}
	next.Services, next.Endpoints = clone(g.mesh.Services), clone(g.mesh.Endpoints)
	next.XBackends = clone(g.mesh.XBackends)
	next.Workloads, next.WorkloadByIP = clone(g.mesh.Workloads), clone(g.mesh.WorkloadByIP)
	change(&next, &one)
	g.mesh = &next
	g.xds.Publish(&next)
}

func clone[K comparable, V any](m map[K]V) map[K]V {
	next := make(map[K]V, len(m))
	for k, v := range m {
		next[k] = v
	}
	return next
}

// Ports makes ports all that the gateway has.
func (g *Gateway) Ports(ports ...mesh.GatewayPort) {
	g.t.Helper()
	g.Change(func(_ *mesh.Mesh, one *mesh.Gateway) { one.Ports = ports })
	for i := range ports {
		g.Address(ports[i].Number)
	}
}

// Backend adds a Service of the namespace "shop" whose endpoints are addresses; change, which is optional, changes its port.
func (g *Gateway) Backend(service string, change func(*mesh.Port), endpoints ...mesh.Endpoint) mesh.ServicePort {
	g.t.Helper()
	sp := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: service}, Port: 80}
	port := mesh.Port{Number: 80, Protocol: mesh.ProtocolHTTP}
	if change != nil {
		change(&port)
	}
	g.Change(func(m *mesh.Mesh, _ *mesh.Gateway) {
		m.Services[sp.Name] = &mesh.Service{
			Name: sp.Name, Origin: mesh.Origin{Kind: "Service", Namespace: "shop", Name: service}, Ports: []mesh.Port{port},
		}
		m.Endpoints[sp] = endpoints
	})
	return sp
}

// XBackend adds a host outside of the mesh, which listens at an address and has one port; change, which is optional, changes that.
func (g *Gateway) XBackend(host string, change func(*mesh.Port), address net.Addr) mesh.ServicePort {
	g.t.Helper()
	to := netip.MustParseAddrPort(address.String())
	sp := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: host}, Port: to.Port(), XBackend: true}
	port := mesh.Port{Number: to.Port(), Protocol: mesh.ProtocolHTTP, Hostname: host}
	if change != nil {
		change(&port)
	}
	g.mu.Lock()
	g.names[host] = []netip.Addr{to.Addr()}
	g.mu.Unlock()
	g.Change(func(m *mesh.Mesh, _ *mesh.Gateway) {
		m.XBackends[sp.Name] = &mesh.Service{Name: sp.Name, Origin: mesh.Origin{Kind: "XBackend", Namespace: "shop", Name: host}, Ports: []mesh.Port{port}}
	})
	return sp
}

// lookup plays DNS.
func (g *Gateway) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	select {
	case <-g.awake:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if found := g.names[host]; found != nil {
		return found, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// at is a ready endpoint without a sidecar.
func at(address net.Addr) mesh.Endpoint {
	return mesh.Endpoint{Address: netip.MustParseAddrPort(address.String()), Ready: true, Serving: true}
}

// Eventually waits until check holds.
func (g *Gateway) Eventually(what string, check func() bool) {
	g.t.Helper()
	poll.Until(g.t, patience, what, check)
}

// lines keeps what is written.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
