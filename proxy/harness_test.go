package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// pod is an application's neighbourhood: its sidecar, and addresses on loopback that stand for the pod's.
type pod struct {
	t        *testing.T
	name     string
	id       identity.ID
	source   *rotating
	outbound net.Listener // the application's connections arrive here, as if captured
	inbound  net.Listener // is the pod's own address and port
	app      netip.AddrPort
	control  *control
	records  records
	proxy    *proxy.Proxy
	stop     context.CancelFunc
	done     chan error

	to sync.Map // client address -> chan netip.AddrPort
}

// rotating is an identity source whose certificate can be replaced.
type rotating struct {
	mu   sync.Mutex // guards svid
	svid *identity.SVID
}

func (r *rotating) Identity() (*identity.SVID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.svid == nil {
		return nil, identity.ErrNoIdentity
	}
	return r.svid, nil
}

func (r *rotating) set(svid *identity.SVID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.svid = svid
}

// control is a control plane that knows a fixed answer for each destination.
type control struct {
	apply func(*config.Config)

	mu      sync.Mutex // guards what follows
	answers map[netip.AddrPort]*config.Listener
	config  config.Config
	away    bool
	refused []string
}

func (c *control) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (c *control) Release(netip.AddrPort)        {}
func (c *control) Refused(to netip.AddrPort, host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, to.String()+"/"+host)
}
func (c *control) Outbound(_ context.Context, to netip.AddrPort) (*config.Config, bool) {
	c.mu.Lock()
	away := c.away
	c.mu.Unlock()
	if away {
		return nil, false
	}
	return c.change(func(cfg *config.Config) { cfg.Outbound[to] = c.answers[to] }), true
}

// change applies a changed copy of the configuration.
func (c *control) change(edit func(*config.Config)) *config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.config
	next.Outbound = map[netip.AddrPort]*config.Listener{}
	for to, l := range c.config.Outbound {
		next.Outbound[to] = l
	}
	edit(&next)
	c.config = next
	c.apply(&next)
	return &next
}

// records keeps what was reported.
type records struct {
	mu          sync.Mutex // guards the rest
	requests    []telemetry.Request
	connections []telemetry.Connection
	more        chan struct{} // has an element when something was added
}

func (r *records) Request(one *telemetry.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, *one)
	r.mu.Unlock()
	r.notify()
}

func (r *records) Connection(one *telemetry.Connection) {
	r.mu.Lock()
	r.connections = append(r.connections, *one)
	r.mu.Unlock()
	r.notify()
}

func (r *records) notify() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// wait returns the first request or connection that want accepts.
func wait[R any](t *testing.T, r *records, list func() []R, want func(R) bool) R {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		for _, one := range list() {
			if want(one) {
				r.mu.Unlock()
				return one
			}
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-limit:
			t.Fatalf("no such record in %+v", list())
		}
	}
}

// mesh is a set of pods with one certificate authority.
type mesh struct {
	t  *testing.T
	ca *devca.CA
}

func newMesh(t *testing.T) *mesh { return &mesh{t, must(devca.New(time.Hour))} }

// pod starts a sidecar for an application that listens at app (zero: none). edit changes the options; it may be nil.
func (m *mesh) pod(name string, app netip.AddrPort, edit func(*proxy.Options)) *pod {
	m.t.Helper()
	p := &pod{
		t: m.t, name: name, id: must(identity.New("cluster.local", "shop", name)), app: app, source: &rotating{},
		outbound: must(net.Listen("tcp", "127.0.0.1:0")), inbound: must(net.Listen("tcp", "127.0.0.1:0")),
		records: records{more: make(chan struct{}, 1)}, done: make(chan error, 1),
	}
	p.source.set(must(m.ca.SVID(p.id, time.Hour)))
	p.control = &control{answers: map[netip.AddrPort]*config.Listener{}}
	options := proxy.Options{
		Listen: func(d telemetry.Direction) ([]net.Listener, error) {
			if d == telemetry.Outbound {
				return []net.Listener{p.outbound}, nil
			}
			return []net.Listener{p.inbound}, nil
		},
		Original: p.original,
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		},
		Own: func(to netip.AddrPort) (netip.AddrPort, bool) { return p.app, to == p.address() },
		Control: func(apply func(*config.Config)) proxy.Control {
			p.control.apply = apply
			return p.control
		},
		Identity: p.source, Sink: &p.records, Counters: telemetry.NewCounters(prometheus.NewRegistry()),
		Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&options)
	}
	p.proxy = proxy.New(options)
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.done <- p.proxy.Run(ctx) }()
	m.t.Cleanup(func() {
		stop()
		<-p.done
		p.done <- nil
	})
	p.control.change(func(cfg *config.Config) {
		cfg.AccessLog = true // paths are recorded for it
		cfg.Inbound = &config.Inbound{Workload: config.Workload{Namespace: "shop", Name: name, Identity: p.id.String()}}
		cfg.Clusters, cfg.Routes = map[string]*config.Cluster{}, map[string]*config.RouteTable{}
	})
	return p
}

// address is the pod's address and port, as endpoints name it.
func (p *pod) address() netip.AddrPort { return p.inbound.Addr().(*net.TCPAddr).AddrPort() }

// endpoint is the pod as others' clusters name it.
func (p *pod) endpoint() config.Endpoint {
	return config.Endpoint{Address: p.address(), Identity: p.id.String(), Workload: config.Workload{Namespace: "shop", Name: p.name}}
}

func (p *pod) original(conn net.Conn) (netip.AddrPort, error) {
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	if local == p.address() {
		return local, nil
	}
	return <-p.dialled(conn.RemoteAddr()), nil
}

// dialled gets the destination of the connection that comes from an address, once.
func (p *pod) dialled(from net.Addr) chan netip.AddrPort {
	ch, _ := p.to.LoadOrStore(from.String(), make(chan netip.AddrPort, 1))
	return ch.(chan netip.AddrPort)
}

// knows makes the control plane answer for a service address.
func (p *pod) knows(to netip.AddrPort, protocol config.Protocol, endpoints ...config.Endpoint) {
	name := to.String()
	p.control.change(func(cfg *config.Config) {
		clusters := map[string]*config.Cluster{}
		for n, c := range cfg.Clusters {
			clusters[n] = c
		}
		clusters[name] = &config.Cluster{Name: name, Service: "shop/" + name, Endpoints: endpoints}
		cfg.Clusters = clusters
		p.control.answers[to] = &config.Listener{Name: "outbound/" + name, Protocol: protocol, Cluster: name, Service: "shop/" + name,
			Origin: config.Origin{Kind: "Service", Namespace: "shop", Name: name}}
		if cfg.Outbound[to] != nil {
			cfg.Outbound[to] = p.control.answers[to]
		}
	})
}

// dial is the application dialling an address: the connection is captured.
func (p *pod) dial(to netip.AddrPort) net.Conn {
	p.t.Helper()
	conn, err := p.tryDial(to)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// tryDial is dial for destinations that may be refused: a reset can come before connect has returned.
func (p *pod) tryDial(to netip.AddrPort) (net.Conn, error) {
	conn, err := net.Dial("tcp", p.outbound.Addr().String())
	if err == nil {
		p.dialled(conn.LocalAddr()) <- to
	}
	return conn, err
}

// refused tells whether a destination is refused with a reset.
func (p *pod) refused(to netip.AddrPort) bool {
	conn, err := p.tryDial(to)
	if err == nil {
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	return errors.Is(err, syscall.ECONNRESET)
}

// get asks over an open connection.
func get(conn net.Conn, path string) (*http.Response, string, error) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: cart\r\n\r\n", path); err != nil {
		return nil, "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// httpApp answers each request with its name and path.
func httpApp(t *testing.T, name string) netip.AddrPort {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, name, " ", r.URL.Path)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// tcpApp serves each connection with a function.
func tcpApp(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}
