package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/load"
)

// serve runs a handler on loopback until the test ends, and gives its address.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go accept(listener, handle)
	return listener.Addr().String()
}

// work lets all workers do a few operations at a time.
func work(t *testing.T, workers []load.Worker, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer load.CloseAll(workers)
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() {
			for range 5 {
				if err := w.Do(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
}

func TestLoadMeetsBackend(t *testing.T) {
	one, two, plain := serve(t, http1), serve(t, http2Backend), serve(t, tcp)
	for name, open := range map[string]func() ([]load.Worker, error){
		"http1": func() ([]load.Worker, error) { return load.HTTP1(one, "/1000", 1000, 3) },
		"big":   func() ([]load.Worker, error) { return load.HTTP1(one, "/1048576", 1<<20, 2) },
		"http2": func() ([]load.Worker, error) { return load.HTTP2(two, "/100000", 100_000, 2, 8) },
		"unary": func() ([]load.Worker, error) { return load.Unary(two, 2, 8) },
		"stream": func() ([]load.Worker, error) {
			return load.Stream(two, 2, 8)
		},
		"download": func() ([]load.Worker, error) { return load.Download(plain, 2) },
		"echo":     func() ([]load.Worker, error) { return load.Echo(plain, 1000, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			workers, err := open()
			work(t, workers, err)
		})
	}
}

// A wrong answer is an error, not an operation.
func TestLoadNoticesWrongAnswers(t *testing.T) {
	one, two := serve(t, http1), serve(t, http2Backend)
	for name, open := range map[string]func() ([]load.Worker, error){
		"http1 status": func() ([]load.Worker, error) { return load.HTTP1(one, "/none", 10, 1) },
		"http1 length": func() ([]load.Worker, error) { return load.HTTP1(one, "/11", 10, 1) },
		"http2 length": func() ([]load.Worker, error) { return load.HTTP2(two, "/11", 10, 1, 1) },
	} {
		workers, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if err := workers[0].Do(); err == nil || !strings.Contains(err.Error(), "answer") {
			t.Errorf("%s: %v", name, err)
		}
		load.CloseAll(workers)
	}
}

func TestHandshakes(t *testing.T) {
	c, err := contender.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(c.Server.Both, c.Server.Both)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.Roots)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	address := serve(t, func(conn net.Conn) {
		tcp(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}))
	})
	files := load.Files{Chain: c.Client.Chain, Key: c.Client.Key, Roots: c.Roots}
	workers, err := load.Handshakes(address, files, []tls.CurveID{tls.X25519}, 2)
	work(t, workers, err)
}

// net/http's client has windows that are smaller than the body.
func TestHTTP2WithAnotherClient(t *testing.T) {
	address := serve(t, http2Backend)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	const size = 10 << 20
	response, err := (&http.Client{Transport: transport}).Get("http://" + address + "/10485760")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// raw is a gRPC codec for messages that are bytes.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "raw" }
func newClient(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
}

func TestGRPCWithAnotherClient(t *testing.T) {
	conn, err := newClient(serve(t, http2Backend))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asked, answer := make([]byte, load.Asked), []byte(nil)
	if err := conn.Invoke(t.Context(), load.UnaryMethod, &asked, &answer); err != nil || len(answer) != load.Answered {
		t.Fatalf("unary: %d bytes, %v", len(answer), err)
	}
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, load.StreamMethod)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 { // more than the first window holds
		if err := stream.SendMsg(&asked); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&answer); err != nil || len(answer) != load.Answered {
			t.Fatalf("stream: %d bytes, %v", len(answer), err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&answer); !errors.Is(err, io.EOF) {
		t.Errorf("end of the stream: %v", err)
	}
}

// No more data comes than the windows let through, and the rest after they were opened.
func TestHTTP2KeepsToWindows(t *testing.T) {
	conn, err := net.Dial("tcp", serve(t, http2Backend))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	framer := http2.NewFramer(conn, conn)
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/2000"}, {Name: ":authority", Value: "x"}} {
		encoder.WriteField(f)
	}
	io.WriteString(conn, http2.ClientPreface)
	framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
	got := 0
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		data, ok := frame.(*http2.DataFrame)
		if !ok {
			continue
		}
		got += len(data.Data())
		if data.StreamEnded() {
			break
		}
		if got != 1000 {
			t.Fatalf("%d bytes, the window is 1000", got)
		}
		framer.WriteWindowUpdate(1, 1000)
	}
	if got != 2000 {
		t.Errorf("%d bytes", got)
	}
}
