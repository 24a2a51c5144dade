//go:build fault

package fault_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/leno-mesh/leno/internal/local"
)

// The ports of an app. All but raw behave.
const (
	portHTTP  = 8080 // /echo, /big?bytes=n, and /ws for WebSocket
	portRaw   = 8081 // what the scenario says
	portTCP   = 7000 // echoes
	portFirst = 9000 // greets, then echoes
	portGRPC  = 9090 // grpc_testing.TestService
)

const greeting = "220 welcome\n"

// app is the application of a pod.
type app struct {
	conns    sync.Map     // net.Conn that are open
	accepted atomic.Int64 // connections at portRaw
	requests atomic.Int64 // at portHTTP
	raw      atomic.Pointer[func(*net.TCPConn)]
}

// open is how many connections it has.
func (a *app) open() (n int) {
	a.conns.Range(func(any, any) bool { n++; return true })
	return n
}

// openAt is how many connections it has at a port.
func (a *app) openAt(port int) (n int) {
	a.conns.Range(func(c, _ any) bool {
		if c.(net.Conn).LocalAddr().(*net.TCPAddr).Port == port {
			n++
		}
		return true
	})
	return n
}

// misbehave sets what happens to each connection at portRaw. It owns the connection.
func (a *app) misbehave(f func(*net.TCPConn)) { a.raw.Store(&f) }

// tracked is a listener whose connections are counted while they are open.
type tracked struct {
	*net.TCPListener
	app *app
}

// Accept implements net.Listener.
func (l tracked) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c := &trackedConn{conn, l.app}
	l.app.conns.Store(c, nil)
	return c, nil
}

type trackedConn struct {
	*net.TCPConn
	app *app
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.app.conns.Delete(c)
	return c.TCPConn.Close()
}

// startApp listens at those of its ports that pod has.
func startApp(t *testing.T, pod *local.Pod) *app {
	t.Helper()
	a := &app{}
	for _, port := range pod.Ports {
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(pod.App, port)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		l := tracked{listener, a}
		switch port {
		case portHTTP:
			server := &http.Server{Handler: a.handler()}
			t.Cleanup(func() { _ = server.Close() })
			go func() { _ = server.Serve(l) }()
		case portGRPC:
			server := grpc.NewServer()
			grpc_testing.RegisterTestServiceServer(server, echoService{})
			t.Cleanup(server.Stop)
			go func() { _ = server.Serve(l) }()
		case portTCP:
			go serveEach(l, echo)
		case portFirst:
			go serveEach(l, func(c net.Conn) {
				if _, err := io.WriteString(c, greeting); err == nil {
					echo(c)
				}
			})
		case portRaw:
			go serveEach(l, a.serveRaw)
		default: // a port that nobody listens at
			_ = listener.Close()
		}
	}
	t.Cleanup(func() { a.conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true }) })
	return a
}

func serveEach(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}

func (a *app) serveRaw(c net.Conn) {
	a.accepted.Add(1)
	if f := a.raw.Load(); f != nil {
		(*f)(c.(*trackedConn).TCPConn)
	}
}

// echo sends back what comes, and ends its direction when the peer has ended its own.
func echo(c net.Conn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(n))
		_, _ = io.CopyN(w, zeros{}, n)
	})
	mux.Handle("/ws", websocket.Server{Handler: func(c *websocket.Conn) {
		for {
			var message string
			if websocket.Message.Receive(c, &message) != nil || websocket.Message.Send(c, message) != nil {
				return
			}
		}
	}})
	return mux
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// echoService is what gRPC clients call.
type echoService struct {
	grpc_testing.UnimplementedTestServiceServer
}

// FullDuplexCall sends each payload back.
func (echoService) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		in, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// readRequest reads a request head of a raw connection; false when there is none.
func readRequest(c net.Conn) (*http.Request, *bufio.Reader, bool) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	return r, in, err == nil
}
