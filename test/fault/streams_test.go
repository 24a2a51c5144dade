//go:build fault

package fault_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
)

// bound is how late an answer may be, on a machine under load.
const bound = 10 * time.Second

// stream is a long-lived conversation with an app that echoes.
type stream interface {
	send(message string) error
	receive() (string, error)
	// deadline ends a send or receive that takes longer.
	deadline(time.Time)
	close()
}

// tcpStream is lines over TCP.
type tcpStream struct {
	net.Conn
	in *bufio.Reader
}

func dialTCP(address string) (*tcpStream, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return &tcpStream{conn, bufio.NewReader(conn)}, nil
}

func dialFirst(address string) (*tcpStream, error) {
	s, err := dialTCP(address)
	if err != nil {
		return nil, err
	}
	s.deadline(time.Now().Add(bound))
	if said, err := s.in.ReadString('\n'); said != greeting {
		s.close()
		return nil, fmt.Errorf("greeted with %q: %w", said, err)
	}
	return s, nil
}

func (s *tcpStream) send(m string) error { _, err := io.WriteString(s, m+"\n"); return err }

func (s *tcpStream) receive() (string, error) {
	line, err := s.in.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

func (s *tcpStream) deadline(t time.Time) { _ = s.SetDeadline(t) }

func (s *tcpStream) close() { _ = s.Close() }

// webSocket is text messages.
type webSocket struct{ *websocket.Conn }

func dialWebSocket(address string) (*webSocket, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(bound))
	location := &url.URL{Scheme: "ws", Host: "server", Path: "/ws"}
	c, err := websocket.NewClient(&websocket.Config{Location: location, Origin: &url.URL{Scheme: "http", Host: "server"}, Version: 13}, conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &webSocket{c}, nil
}

func (s *webSocket) send(m string) error { return websocket.Message.Send(s.Conn, m) }

func (s *webSocket) receive() (m string, err error) {
	err = websocket.Message.Receive(s.Conn, &m)
	return m, err
}

func (s *webSocket) deadline(t time.Time) { _ = s.SetDeadline(t) }

func (s *webSocket) close() { _ = s.Close() }

// grpcStream is one call with messages both ways.
type grpcStream struct {
	call  grpc_testing.TestService_FullDuplexCallClient
	end   context.CancelFunc
	timer *time.Timer
}

// dialGRPC makes a connection for several calls. It ends with the test at the latest.
func dialGRPC(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func callGRPC(conn *grpc.ClientConn) (*grpcStream, error) {
	ctx, cancel := context.WithCancel(context.Background())
	call, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(ctx, grpc.WaitForReady(true))
	if err != nil {
		cancel()
		return nil, err
	}
	return &grpcStream{call, cancel, nil}, nil
}

func (s *grpcStream) send(m string) error {
	return s.call.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(m)}})
}

func (s *grpcStream) receive() (string, error) {
	m, err := s.call.Recv()
	return string(m.GetPayload().GetBody()), err
}

// deadline ends the whole call: gRPC has no other.
func (s *grpcStream) deadline(t time.Time) {
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(t), s.end)
		return
	}
	s.timer.Reset(time.Until(t))
}

func (s *grpcStream) close() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.end()
}

// streams are many that live at the same time. Each sends numbered messages and checks that each answer is the next
// number: none is lost, doubled or too late.
type streams struct {
	t        *testing.T
	stop     chan struct{}
	after    []func() // called when all have ended
	running  sync.WaitGroup
	messages atomic.Int64
	slowest  atomic.Int64 // nanoseconds

	mu     sync.Mutex // guards failed
	failed []string
}

// talk keeps streams talking, each about once per pause.
func talk(t *testing.T, pause time.Duration, all map[string][]stream) *streams {
	s := &streams{t: t, stop: make(chan struct{})}
	n := 0
	for kind, list := range all {
		for i, one := range list {
			n++
			phase := pause * time.Duration(n%100) / 100 // not all at once
			s.running.Go(func() { s.run(fmt.Sprintf("%s %d", kind, i), one, pause, phase) })
		}
	}
	return s
}

func (s *streams) run(name string, one stream, pause, phase time.Duration) {
	defer one.close()
	timer := time.NewTimer(phase)
	defer timer.Stop()
	for number := 0; ; number++ {
		select {
		case <-s.stop:
			return
		case <-timer.C:
		}
		timer.Reset(pause)
		if err := s.round(one, fmt.Sprintf("%s message %d", name, number)); err != nil {
			s.fail("%s message %d: %v", name, number, err)
			return
		}
	}
}

func (s *streams) round(one stream, message string) error {
	began := time.Now()
	one.deadline(began.Add(bound))
	if err := one.send(message); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	got, err := one.receive()
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	if got != message {
		return fmt.Errorf("the answer is %q", got)
	}
	s.messages.Add(1)
	for took := int64(time.Since(began)); ; {
		if slowest := s.slowest.Load(); took <= slowest || s.slowest.CompareAndSwap(slowest, took) {
			return nil
		}
	}
}

func (s *streams) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, fmt.Sprintf(format, args...))
}

// broken is how many have failed.
func (s *streams) broken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failed)
}

// unharmed ends the streams, and fails the test if one was closed, or a message lost, doubled or late.
func (s *streams) unharmed() {
	s.t.Helper()
	close(s.stop)
	s.running.Wait()
	for _, f := range s.after {
		f()
	}
	for _, text := range s.failed[:min(len(s.failed), 5)] {
		s.t.Error(text)
	}
	if len(s.failed) > 0 {
		s.t.Errorf("%d streams failed, want none", len(s.failed))
	}
	s.t.Logf("%d messages were answered, the slowest after %s", s.messages.Load(), time.Duration(s.slowest.Load()).Round(time.Millisecond))
}

// bystanders is other traffic between the same sidecars, of all kinds, which must not notice anything.
func (c *cluster) bystanders() *streams {
	c.t.Helper()
	all := map[string][]stream{}
	add := func(kind string, one stream, err error) {
		if err != nil {
			c.t.Fatalf("%s: %v", kind, err)
		}
		all[kind] = append(all[kind], one)
	}
	tcp, err := dialTCP(c.way("server:7000"))
	add("tcp", tcp, err)
	first, err := dialFirst(c.way("server:9000"))
	add("server-first", first, err)
	ws, err := dialWebSocket(c.way("server:80"))
	add("websocket", ws, err)
	channel := dialGRPC(c.t, c.way("server:9090"))
	call, err := callGRPC(channel)
	add("grpc", call, err)
	for range 2 {
		add("http", newRequests(c.way("server:80")), nil)
	}
	talking := talk(c.t, 50*time.Millisecond, all)
	talking.after = append(talking.after, func() { _ = channel.Close() })
	return talking
}
