package udp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/udp"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func dial(to netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
}

// listen opens a socket of its own address.
func listen(t testing.TB) (*net.UDPConn, netip.AddrPort) {
	socket := must(net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback)))
	t.Cleanup(func() { _ = socket.Close() })
	_ = socket.SetDeadline(time.Now().Add(20 * time.Second))
	return socket, socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

// server answers each datagram with its mark and the datagram.
func server(t testing.TB, mark string) netip.AddrPort {
	socket, address := listen(t)
	go func() {
		buffer := make([]byte, 1<<16)
		copy(buffer, mark)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(buffer[len(mark):])
			if err != nil {
				return
			}
			_, _ = socket.WriteToUDPAddrPort(buffer[:len(mark)+n], from)
		}
	}()
	return address
}

// setup is a relay that runs.
type setup struct {
	t        testing.TB
	relay    *udp.Relay
	address  netip.AddrPort
	registry *prometheus.Registry
	picked   atomic.Int64
	ended    chan udp.Session
	stop     func()
}

// start runs a relay to endpoints at some addresses; random says which one a session gets.
func start(t testing.TB, options udp.Options, endpoints ...netip.AddrPort) *setup {
	s := &setup{t: t, registry: prometheus.NewRegistry(), ended: make(chan udp.Session, 100)}
	socket, address := listen(t)
	_ = socket.SetDeadline(time.Time{})
	s.address = address
	var list []config.Endpoint
	for _, e := range endpoints {
		list = append(list, config.Endpoint{Address: e})
	}
	turn := uint64(0)
	balancer := lb.New(nil, list, func() uint64 { turn++; return (turn - 1) << 32 })
	options.Pick = func() *lb.Endpoint { s.picked.Add(1); return balancer.Pick(time.Now(), nil) }
	options.Dial, options.Ended = dial, func(one udp.Session) { s.ended <- one }
	options.Counters = telemetry.NewCounters(s.registry).Datagrams
	s.relay = udp.New(socket, options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.relay.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(s.stop)
	return s
}

// client opens a client's socket.
func (s *setup) client() *net.UDPConn {
	c := must(dial(s.address))
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a datagram and returns the reply.
func ask(t testing.TB, c *net.UDPConn, question string) string {
	t.Helper()
	must(c.Write([]byte(question)))
	buffer := make([]byte, 1<<16)
	n, err := c.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// dropped is how many datagrams were dropped for a reason.
func (s *setup) dropped(reason telemetry.Drop) float64 {
	for _, family := range must(s.registry.Gather()) {
		if family.GetName() != "leno_udp_dropped_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == reason.String() {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func (s *setup) waitDropped(reason telemetry.Drop, want float64) {
	s.t.Helper()
	for limit := time.Now().Add(10 * time.Second); s.dropped(reason) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			s.t.Fatalf("%v dropped as %v, want %v", s.dropped(reason), reason, want)
		}
	}
}

func TestSessions(t *testing.T) {
	s := start(t, udp.Options{}, server(t, "a"), server(t, "b"))
	one, two := s.client(), s.client()
	for range 3 { // an endpoint is picked once per session
		if got := ask(t, one, "hello"); got != "ahello" {
			t.Errorf("the first session got %q", got)
		}
		if got := ask(t, two, "hello"); got != "bhello" {
			t.Errorf("the second session got %q", got)
		}
	}
	if got := s.picked.Load(); got != 2 || s.relay.Len() != 2 {
		t.Errorf("%d picks, %d sessions", got, s.relay.Len())
	}
	s.stop()
	for range 2 {
		got := <-s.ended
		if !errors.Is(got.Err, context.Canceled) || got.ToServer != 15 || got.ToClient != 18 || got.Endpoint.Active() != 0 {
			t.Errorf("record %+v", got)
		}
	}
	if got := testutil.CollectAndCount(s.registry, "leno_udp_datagrams_total"); got != 2 || s.relay.Len() != 0 {
		t.Errorf("%d series, %d sessions", got, s.relay.Len())
	}
}

// Datagrams go through whole, from none to as many bytes as IPv4 can carry.
func TestSizes(t *testing.T) {
	s := start(t, udp.Options{}, server(t, ""))
	c := s.client()
	for _, size := range []int{0, 1, 1472, 9000, 65_507} {
		want := bytes.Repeat([]byte{byte(size)}, size)
		if got := ask(t, c, string(want)); got != string(want) {
			t.Errorf("%d bytes came back as %d", size, len(got))
		}
	}
}

// Only the endpoint that was asked can answer.
func TestStrangersAreNotRelayed(t *testing.T) {
	endpoint, address := listen(t)
	s := start(t, udp.Options{}, address)
	c := s.client()
	must(c.Write([]byte("question")))
	buffer := make([]byte, 100)
	_, upstream, err := endpoint.ReadFromUDPAddrPort(buffer)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := listen(t)
	must(stranger.WriteToUDPAddrPort([]byte("forged"), upstream))
	must(endpoint.WriteToUDPAddrPort([]byte("answer"), upstream))
	if n := must(c.Read(buffer)); string(buffer[:n]) != "answer" {
		t.Errorf("got %q", buffer[:n])
	}
}

// An endpoint that does not listen says so by ICMP: the session ends, and the next datagram gets to another.
func TestRefused(t *testing.T) {
	closed, nobody := listen(t)
	_ = closed.Close()
	s := start(t, udp.Options{}, nobody, server(t, "b"))
	c := s.client()
	must(c.Write([]byte("lost")))
	got := <-s.ended
	if !errors.Is(got.Err, syscall.ECONNREFUSED) || got.Endpoint.Address != nobody || got.Client != c.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Errorf("record %+v", got)
	}
	if got := ask(t, c, "again"); got != "bagain" {
		t.Errorf("got %q", got)
	}
}

func TestBoundOfSessions(t *testing.T) {
	s := start(t, udp.Options{MaxSessions: 1}, server(t, "a"))
	one, two := s.client(), s.client()
	ask(t, one, "x")
	must(two.Write([]byte("y")))
	s.waitDropped(telemetry.DropSessions, 1)
	if got := ask(t, one, "x"); got != "ax" {
		t.Errorf("the session that was there got %q", got)
	}
	s.relay.Update(0, func(*lb.Endpoint) bool { return false })
	if got := <-s.ended; !errors.Is(got.Err, udp.ErrGone) {
		t.Errorf("record %+v", got)
	}
	if got := ask(t, two, "y"); got != "ay" {
		t.Errorf("got %q after there was room", got)
	}
}

func TestUpdateEndsWhatLeft(t *testing.T) {
	a, b := server(t, "a"), server(t, "b")
	s := start(t, udp.Options{}, a, b)
	one, two := s.client(), s.client()
	ask(t, one, "x")
	ask(t, two, "x")
	s.relay.Update(0, func(e *lb.Endpoint) bool { return e.Address == a })
	if got := <-s.ended; !errors.Is(got.Err, udp.ErrGone) || got.Endpoint.Address != b {
		t.Errorf("record %+v", got)
	}
	if got := ask(t, one, "y"); got != "ay" || s.picked.Load() != 2 {
		t.Errorf("the session that may stay got %q after %d picks", got, s.picked.Load())
	}
}

func TestIdle(t *testing.T) {
	const idle = 200 * time.Millisecond
	s := start(t, udp.Options{Idle: idle}, server(t, "a"))
	c := s.client()
	begin := time.Now()
	longest, last := time.Duration(0), begin
	for time.Since(begin) < idle+idle/2 { // datagrams keep it
		ask(t, c, "x")
		longest, last = max(longest, time.Since(last)), time.Now()
	}
	// Where the machine was away for the idle time, a session ended rightly.
	if got := s.picked.Load(); got != 1 && longest < idle/2 {
		t.Errorf("%d sessions, want one that goes on", got)
	}
	if got := <-s.ended; !errors.Is(got.Err, udp.ErrIdle) || time.Since(got.Start) < idle {
		t.Errorf("record %+v", got)
	}
	if got := ask(t, c, "y"); got != "ay" {
		t.Errorf("then %q", got)
	}
}

func TestNoEndpoints(t *testing.T) {
	s := start(t, udp.Options{})
	must(s.client().Write([]byte("x")))
	s.waitDropped(telemetry.DropNoEndpoints, 1)
}

func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{64, 1400} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			s := start(b, udp.Options{}, server(b, ""))
			c := s.client()
			out, in := make([]byte, size), make([]byte, size)
			b.SetBytes(int64(size))
			const window = 16 // datagrams on their way, far fewer than the sockets' buffers hold
			for i := 0; i < b.N; i++ {
				must(c.Write(out))
				if i >= window {
					must(c.Read(in))
				}
			}
		})
	}
}
