package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

func TestCalls(t *testing.T) {
	web, cart, client := callPair(t, &backend{})
	ctx := limited(t)
	const big = 8 << 20
	for _, size := range []int{0, 1, 100_000, big} {
		r, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(size)})
		if err != nil || string(r.GetPayload().GetBody()) != string(payload(size).GetBody()) {
			t.Fatalf("%d bytes: %d back, %v", size, len(r.GetPayload().GetBody()), err)
		}
	}

	in := must(client.StreamingInputCall(ctx))
	for range 100 {
		if err := in.Send(&testpb.StreamingInputCallRequest{Payload: payload(10_000)}); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := in.CloseAndRecv(); err != nil || sum.GetAggregatedPayloadSize() != 1_000_000 {
		t.Errorf("client streaming: %v, %v", sum, err)
	}

	var ask testpb.StreamingOutputCallRequest
	for range 100 {
		ask.ResponseParameters = append(ask.ResponseParameters, &testpb.ResponseParameters{Size: 10_000})
	}
	out := must(client.StreamingOutputCall(ctx, &ask))
	for i := range 100 {
		if m, err := out.Recv(); err != nil || len(m.GetPayload().GetBody()) != 10_000 {
			t.Fatalf("server streaming: message %d: %v", i, err)
		}
	}
	if _, err := out.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("server streaming ends with %v", err)
	}

	both := must(client.FullDuplexCall(ctx))
	for i := range 100 {
		if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: payload(i)}); err != nil {
			t.Fatal(err)
		}
		if m, err := both.Recv(); err != nil || len(m.GetPayload().GetBody()) != i {
			t.Fatalf("bidi: message %d: %v", i, err)
		}
	}
	_ = both.CloseSend()
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("bidi ends with %v", err)
	}
	for _, method := range []string{"UnaryCall", "StreamingInputCall", "StreamingOutputCall", "FullDuplexCall"} {
		for _, p := range []*pod{web, cart} {
			r := p.recorded(method, func(telemetry.Request) bool { return true })
			if r.Protocol != "gRPC" || r.GRPC != "0" || r.Code != 200 || r.Flag != "" || !r.MTLS {
				t.Errorf("%s at %s: %+v", method, p.name, r)
			}
		}
	}
}

func TestStatusIsRecorded(t *testing.T) {
	web, cart, client := callPair(t, &backend{})
	const text = "not ☺ yet\n100%"
	_, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.FailedPrecondition), Message: text}})
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != text {
		t.Errorf("%v", err)
	}
	for _, p := range []*pod{web, cart} {
		if r := p.recorded("UnaryCall", func(telemetry.Request) bool { return true }); r.GRPC != "9" || r.Code != 200 || r.Flag != "" {
			t.Errorf("%s: %+v", p.name, r)
		}
	}
}

// TestDeadlines: a backend that ignores the deadline does not hold its client, nor is it left with work that nobody waits for.
func TestDeadlines(t *testing.T) {
	cancelled := make(chan struct{})
	app := app2(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(cancelled)
	})
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP2, config.Endpoint{Address: app})
	// Not a gRPC client, which would see to the deadline itself.
	r := request(t, "POST", "/s/Method", nil)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Grpc-Timeout", "100m")
	begin := time.Now()
	resp, _ := do(t, client2(web, cartService), r)
	if resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != "4" || !strings.HasPrefix(resp.Header.Get("Grpc-Message"), "leno outbound: the request took longer") {
		t.Errorf("%d, %v", resp.StatusCode, resp.Header)
	}
	if d := time.Since(begin); d < 100*time.Millisecond {
		t.Errorf("after %v", d)
	}
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Error("the backend was not told")
	}
	if r := web.recorded("Method", func(telemetry.Request) bool { return true }); r.GRPC != "4" || r.Flag != "request_timeout" {
		t.Errorf("%+v", r)
	}
}

// TestDeadlineWithinAnAnswer: what came before the deadline reaches the client, and then the status.
func TestDeadlineWithinAnAnswer(t *testing.T) {
	app := app2(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write([]byte("\x00\x00\x00\x00\x00")) // an empty message
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP2, config.Endpoint{Address: app})
	r := request(t, "POST", "/s/Method", nil)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Grpc-Timeout", "100000u")
	resp, body := do(t, client2(web, cartService), r)
	if resp.StatusCode != 200 || len(body) != 5 || resp.Trailer.Get("Grpc-Status") != "4" || !strings.HasPrefix(resp.Trailer.Get("Grpc-Message"), "leno outbound: ") {
		t.Errorf("%d, %q, %v", resp.StatusCode, body, resp.Trailer)
	}
	web.recorded("Method", func(r telemetry.Request) bool { return r.GRPC == "4" && r.Flag == "request_timeout" })
}

// TestTimeoutsAreToldApart: what ended a second attempt is named, not what would have ended the first.
func TestTimeoutsAreToldApart(t *testing.T) {
	var streams atomic.Int64
	app := tcpApp(t, func(conn net.Conn) {
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		s := newStream2(conn)
		s.heads = func(id uint32, _ http.Header) error {
			if streams.Add(1) == 1 {
				time.AfterFunc(200*time.Millisecond, func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					_ = s.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				})
			}
			return nil
		}
		if err := s.framer.WriteSettings(); err == nil {
			_ = s.read()
		}
	})
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP2, config.Endpoint{Address: app})
	web.routes(cartService, []config.Entry{{Action: &config.Action{
		Timeout: 600 * time.Millisecond, BackendTimeout: 500 * time.Millisecond, Backends: []config.Backend{{Cluster: cartService.String(), Weight: 1}},
	}}})
	client, _ := web.stub(cartService)
	if _, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	if r := web.recorded("UnaryCall", func(telemetry.Request) bool { return true }); r.Flag != "request_timeout" {
		t.Errorf("%+v", r)
	}
}

func TestDeadlineOfAClient(t *testing.T) {
	ended := make(chan error, 1)
	b := &backend{}
	web, _, client := callPair(t, b)
	if _, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{}); err != nil { // connections are there from now on
		t.Fatal(err)
	}
	b.hold = func(ctx context.Context) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the backend goes on")
	}
	// Either was first, the client's clock or the proxy's.
	web.recorded("UnaryCall", func(r telemetry.Request) bool { return r.GRPC == "4" || r.GRPC == "1" })
}

func TestCancellationReachesTheBackend(t *testing.T) {
	b := &backend{gone: make(chan error, 1)}
	web, cart, client := callPair(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := must(client.FullDuplexCall(ctx))
	if err := s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-b.gone:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the backend was not told")
	}
	for _, p := range []*pod{web, cart} {
		if r := p.recorded("FullDuplexCall", func(telemetry.Request) bool { return true }); r.GRPC != "1" || r.Flag != "client_gone" {
			t.Errorf("%s: %+v", p.name, r)
		}
	}
}

// TestOwnFailures: what the proxy answers by itself is a status that gRPC clients understand.
func TestOwnFailures(t *testing.T) {
	hanging := app2(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	closed := must(net.Listen("tcp", "127.0.0.1:0"))
	nobody := must(netip.ParseAddrPort(closed.Addr().String()))
	_ = closed.Close()
	to := func(cluster string, timeout time.Duration) []config.Entry {
		return []config.Entry{{Action: &config.Action{Timeout: timeout, Backends: []config.Backend{{Cluster: cluster, Weight: 1}}}}}
	}
	for name, c := range map[string]struct {
		entries  []config.Entry
		endpoint []config.Endpoint
		code     codes.Code
		says     string
		flag     string
	}{
		"no endpoint":   {to(cartService.String(), 0), nil, codes.Unavailable, "no endpoint is ready: " + cartService.String(), "no_endpoints"},
		"nobody there":  {to(cartService.String(), 0), []config.Endpoint{{Address: nobody}}, codes.Unavailable, "connecting to the backend failed: " + nobody.String(), "connect_failed"},
		"no route":      {[]config.Entry{{Match: config.Match{PathKind: config.PathExact, Path: "/x"}, Action: &config.Action{}}}, nil, codes.Unimplemented, "no route matches", "no_route"},
		"no backend":    {[]config.Entry{{Action: &config.Action{}}}, nil, codes.Unavailable, "the route has no valid backend", "bad_backend"},
		"invalid route": {[]config.Entry{{Action: &config.Action{Fail: &config.Failure{Status: 500, Reason: "☺ 100%"}}}}, nil, codes.Unavailable, "the route is not valid: ☺ 100%", "bad_route"},
		"timeout":       {to(cartService.String(), 50*time.Millisecond), []config.Endpoint{{Address: hanging}}, codes.DeadlineExceeded, "the request took longer than its timeout", "request_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			web := newMesh(t).pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.HTTP2, c.endpoint...)
			web.routes(cartService, c.entries)
			client, _ := web.stub(cartService)
			_, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{})
			if s := status.Convert(err); s.Code() != c.code || s.Message() != "leno outbound: "+c.says {
				t.Errorf("%v, want %v with %q", err, c.code, c.says)
			}
			if r := web.recorded("UnaryCall", func(telemetry.Request) bool { return true }); r.Flag != c.flag || r.GRPC != fmt.Sprint(uint32(c.code)) || r.Code != 200 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestResets: what a backend ends its stream with becomes the status that gRPC has for it.
func TestResets(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		code   codes.Code
	}{
		"before the answer": {func(http.ResponseWriter) {}, codes.Unavailable},
		"within it": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/grpc")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			app := app2(t, func(w http.ResponseWriter, _ *http.Request) {
				c.answer(w)
				panic(http.ErrAbortHandler) // RST_STREAM with INTERNAL_ERROR
			})
			web := newMesh(t).pod("web", netip.AddrPort{}, nil)
			web.knows(cartService, config.HTTP2, config.Endpoint{Address: app})
			client, _ := web.stub(cartService)
			_, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{})
			if s := status.Convert(err); s.Code() != c.code || !strings.HasPrefix(s.Message(), "leno outbound: the backend closed") {
				t.Errorf("%v", err)
			}
			if r := web.recorded("UnaryCall", func(telemetry.Request) bool { return true }); r.GRPC != "14" || r.Flag != "upstream_reset" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestPlainAnswers: a backend that is not of gRPC still gives calls an outcome.
func TestPlainAnswers(t *testing.T) {
	for _, version := range []config.HTTPVersion{config.HTTP2Only, config.HTTP1Only} {
		app := app2(t, http.NotFound)
		web := newMesh(t).pod("web", netip.AddrPort{}, nil)
		web.knows(cartService, config.HTTP2, config.Endpoint{Address: app})
		web.control.change(func(c *config.Config) { c.Clusters[cartService.String()].HTTP = version })
		client, _ := web.stub(cartService)
		if _, err := client.UnaryCall(limited(t), &testpb.SimpleRequest{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%v", err)
		}
		if r := web.recorded("UnaryCall", func(telemetry.Request) bool { return true }); r.GRPC != "12" || r.Code != 404 {
			t.Errorf("%+v", r)
		}
	}
}

// TestManyCalls: more calls at once than the backend takes on one connection, or the proxy from a client.
func TestManyCalls(t *testing.T) {
	const calls, together = 500, 200
	var arrived atomic.Int64
	open := make(chan struct{})
	b := &backend{hold: func(ctx context.Context) error {
		if arrived.Add(1) == together {
			close(open)
		}
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	m := newMesh(t)
	cart := m.pod("cart", b.serve(t, grpc.MaxConcurrentStreams(50)), nil)
	web := m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP2, cart.endpoint())
	client, dials := web.stub(cartService)
	ctx := limited(t)
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(100)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := b.calls.Load(); n != calls || dials.Load() != 1 {
		t.Errorf("%d calls arrived, over %d connections of the client", n, dials.Load())
	}
}

// TestCallsAreBalanced: one connection of a client, and each call goes its own way.
func TestCallsAreBalanced(t *testing.T) {
	const calls = 400
	web := newMesh(t).pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP2)
	backends := []*backend{{name: "a"}, {name: "b"}, {name: "c"}}
	weights := []uint32{50, 30, 20}
	var action config.Action
	for i, b := range backends {
		at := netip.AddrPortFrom(netip.MustParseAddr("10.96.1.1"), uint16(80+i))
		web.knows(at, config.HTTP2, config.Endpoint{Address: b.serve(t)})
		action.Backends = append(action.Backends, config.Backend{Cluster: at.String(), Weight: weights[i]})
	}
	web.routes(cartService, []config.Entry{{Action: &action}})
	client, dials := web.stub(cartService)
	ctx := limited(t)
	for range calls {
		if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, b := range backends {
		// Five standard deviations of a binomial distribution are 50 calls at most.
		if want := calls * int64(weights[i]) / 100; b.calls.Load() < want-50 || b.calls.Load() > want+50 {
			t.Errorf("%s got %d of %d calls, want about %d", b.name, b.calls.Load(), calls, want)
		}
	}
	if dials.Load() != 1 {
		t.Errorf("%d connections", dials.Load())
	}
}
