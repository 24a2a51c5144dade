package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// backend is a gRPC service whose methods do what they are asked for.
type backend struct {
	testpb.UnimplementedTestServiceServer
	name  string
	calls atomic.Int64
	// hold, if set, keeps unary calls until they may go on.
	hold func(context.Context) error
	// gone has an element for each call whose context has ended before it.
	gone chan error
}

// serve starts the backend and returns its address.
func (b *backend) serve(t *testing.T, opts ...grpc.ServerOption) netip.AddrPort {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	opts = append(opts, grpc.MaxRecvMsgSize(16<<20))
	s := grpc.NewServer(opts...)
	testpb.RegisterTestServiceServer(s, b)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return must(netip.ParseAddrPort(l.Addr().String()))
}

// UnaryCall answers with the payload, or with the status that was asked for.
func (b *backend) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	b.calls.Add(1)
	if b.hold != nil {
		if err := b.hold(ctx); err != nil {
			return nil, err
		}
	}
	if s := r.GetResponseStatus(); s != nil {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	return &testpb.SimpleResponse{Payload: r.GetPayload(), ServerId: b.name}, nil
}

// StreamingInputCall adds up what it gets.
func (b *backend) StreamingInputCall(s grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	size := 0
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(r.GetPayload().GetBody())
	}
}

// StreamingOutputCall sends what was asked for.
func (b *backend) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	for _, p := range r.GetResponseParameters() {
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}

// FullDuplexCall sends each message back until the client ends.
func (b *backend) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		r, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			if b.gone != nil {
				b.gone <- s.Context().Err()
			}
			return err
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}

// stub is a client of what is behind a pod's destination, and counts its connections.
func (p *pod) stub(to netip.AddrPort) (testpb.TestServiceClient, *atomic.Int64) {
	var dials atomic.Int64
	conn := must(grpc.NewClient("passthrough:///cart.shop:80", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			dials.Add(1)
			return p.tryDial(to)
		})))
	p.t.Cleanup(func() { _ = conn.Close() })
	return testpb.NewTestServiceClient(conn), &dials
}

func payload(size int) *testpb.Payload {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i * 7)
	}
	return &testpb.Payload{Body: body}
}

// callPair is a client's pod and a backend's, with sidecars and mutual TLS between them.
func callPair(t *testing.T, b *backend, opts ...grpc.ServerOption) (web, cart *pod, client testpb.TestServiceClient) {
	m := newMesh(t)
	cart = m.pod("cart", b.serve(t, opts...), nil)
	web = m.pod("web", netip.AddrPort{}, nil)
	web.knows(cartService, config.HTTP2, cart.endpoint())
	client, _ = web.stub(cartService)
	return web, cart, client
}

// recorded waits for a call's record at a pod.
func (p *pod) recorded(method string, want func(telemetry.Request) bool) telemetry.Request {
	p.t.Helper()
	return wait(p.t, &p.records, func() []telemetry.Request { return p.records.requests }, func(r telemetry.Request) bool {
		return strings.HasSuffix(r.Path, "/"+method) && want(r)
	})
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// routes gives a destination a table.
func (p *pod) routes(to netip.AddrPort, entries []config.Entry) {
	p.control.change(func(cfg *config.Config) {
		tables := map[string]*config.RouteTable{}
		for n, table := range cfg.Routes {
			tables[n] = table
		}
		tables["table"] = &config.RouteTable{Name: "table", Entries: entries}
		cfg.Routes = tables
		l := *p.control.answers[to]
		l.Routes = "table"
		p.control.answers[to] = &l
	})
}
