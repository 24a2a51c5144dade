package forward_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/sock"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// patience bounds every wait of these tests; nothing that works gets near it.
const patience = 10 * time.Second

// world is a server with scripted backends and raw clients over loopback.
type world struct {
	t       testing.TB
	server  *forward.Server
	pool    *pool.Pool
	streams *mux.Pool
	cfg     *config.Config
	plan    atomic.Pointer[plan.Plan]
	ctx     context.Context
	cut     context.CancelFunc
	wg      sync.WaitGroup
	random  func() uint64
	quiet   bool                    // no records
	over    func(net.Conn) net.Conn // makes what the server gets of a client's connection

	mu      sync.Mutex
	records []telemetry.Request
	emitted chan struct{}
}

type plainDialer struct{}

func (plainDialer) Dial(ctx context.Context, t pool.Target) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.Address.String())
	if err != nil {
		return nil, err
	}
	return sock.Wrap(conn), nil
}

func (w *world) Request(r *telemetry.Request) {
	if w.quiet {
		return
	}
	w.mu.Lock()
	w.records = append(w.records, *r)
	w.mu.Unlock()
	w.emitted <- struct{}{}
}
func (w *world) Connection(*telemetry.Connection) {}

// frontend is the address that clients of a world dial.
var frontend = netip.MustParseAddrPort("10.0.0.1:80")

func newWorld(t testing.TB) *world {
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, ctx: ctx, cut: cancel, emitted: make(chan struct{}, 1000),
		cfg: &config.Config{
			Outbound: map[netip.AddrPort]*config.Listener{},
			Clusters: map[string]*config.Cluster{}, Routes: map[string]*config.RouteTable{},
		}}
	w.pool = pool.New(pool.Options{Dialer: plainDialer{}})
	w.streams = mux.NewPool(plainDialer{}, nil)
	w.server = forward.New(forward.Options{Pool: w.pool, Streams: w.streams, Sink: w, Random: func() uint64 { return w.random() }})
	w.random = func() uint64 { return 0 }
	w.over = func(c net.Conn) net.Conn { return c }
	t.Cleanup(func() {
		cancel()
		w.pool.Close()
		w.streams.Close()
		w.wg.Wait() // no connection outlives the context
	})
	return w
}

// cluster adds a cluster with one endpoint.
func (w *world) cluster(name, addr string) {
	w.cfg.Clusters[name] = &config.Cluster{Name: name, Endpoints: []config.Endpoint{{Address: netip.MustParseAddrPort(addr)}}}
}

// route makes all requests to the frontend go by the entries.
func (w *world) route(entries ...config.Entry) {
	w.cfg.Routes["t"] = &config.RouteTable{Name: "t", Entries: entries}
	w.cfg.Outbound[frontend] = &config.Listener{Routes: "t", Cluster: "c", Service: "ns/svc:80"}
}

// straight makes all requests to the frontend go to cluster c.
func (w *world) straight() {
	w.cfg.Outbound[frontend] = &config.Listener{Cluster: "c", Service: "ns/svc:80"}
}

// dial opens a client connection that the server serves.
func (w *world) dial() *client {
	conn := w.serve(w.server.Serve)
	return &client{w.t, conn, bufio.NewReader(conn)}
}

// serve opens a client connection that serve, a method of the server, serves.
func (w *world) serve(serve func(context.Context, net.Conn, *forward.Conn)) net.Conn {
	w.plan.Store(plan.Next(w.plan.Load(), w.cfg))
	l := listen(w.t)
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	down, err := l.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	w.wg.Add(1)
	go func() {
		defer w.wg.Done()
		serve(w.ctx, w.over(sock.Wrap(down)), &forward.Conn{Direction: telemetry.Outbound, Resolve: func() *plan.Destination {
			d, _ := w.plan.Load().Outbound(frontend)
			return d
		}})
	}()
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// record waits for the next record.
func (w *world) record() telemetry.Request {
	w.t.Helper()
	select {
	case <-w.emitted:
	case <-time.After(patience):
		w.t.Fatal("no record was emitted")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.records[0]
	w.records = w.records[1:]
	return r
}

func listen(t testing.TB) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// client is one end of a connection, spoken to in raw bytes.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// expect reads exactly want.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if string(got[:n]) != want {
		c.t.Fatalf("got  %q\nwant %q (%v)", got[:n], want, err)
	}
}

// head reads up to the empty line.
func (c *client) head() string {
	c.t.Helper()
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			c.t.Fatalf("head ends in %q: %v", b.String(), err)
		}
		if line == "\r\n" {
			return b.String()
		}
	}
}

// rest reads to the end of the connection.
func (c *client) rest() (string, error) {
	b, err := io.ReadAll(c.r)
	return string(b), err
}

// backend is a listener whose connections are scripted by the test.
type backend struct {
	t testing.TB
	l net.Listener
}

func (w *world) backend() *backend {
	b := &backend{w.t, listen(w.t)}
	w.t.Cleanup(func() { b.l.Close() })
	return b
}

func (b *backend) addr() string { return b.l.Addr().String() }

func (b *backend) accept() *client {
	b.t.Helper()
	b.l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := b.l.Accept()
	if err != nil {
		b.t.Fatalf("the backend was not dialled: %v", err)
	}
	b.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &client{b.t, conn, bufio.NewReader(conn)}
}
