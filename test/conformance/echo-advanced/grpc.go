package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echoMethod is the only method the client calls; routes of the suite match on it. Its messages have one string as
// field 1, which is what a StringValue is on the wire.
const echoMethod = "/proto.EchoTestService/Echo"

// serveGRPC answers any unary method with the facts of the call.
func serveGRPC(hostname string) func(context.Context, net.Listener) error {
	return func(ctx context.Context, listener net.Listener) error {
		server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			if err := stream.RecvMsg(&wrapperspb.StringValue{}); err != nil {
				return err
			}
			headers, _ := metadata.FromIncomingContext(stream.Context())
			var body bytes.Buffer
			fmt.Fprintf(&body, "StatusCode=200\nHostname=%s\n", hostname)
			writeHeaders(&body, "RequestHeader", headers)
			return stream.SendMsg(wrapperspb.String(body.String()))
		}))
		healthpb.RegisterHealthServer(server, health.NewServer()) // for gRPC probes
		context.AfterFunc(ctx, func() {
			timer := time.AfterFunc(5*time.Second, server.Stop)
			defer timer.Stop()
			server.GracefulStop()
		})
		return server.Serve(listener)
	}
}

// callGRPC makes one unary call on the shared connection.
func callGRPC(ctx context.Context, conn *grpc.ClientConn, r request) (string, error) {
	for _, h := range r.headers {
		ctx = metadata.AppendToOutgoingContext(ctx, h.name, h.value)
	}
	var reply wrapperspb.StringValue
	var headers metadata.MD
	if err := conn.Invoke(ctx, echoMethod, wrapperspb.String("hello"), &reply, grpc.Header(&headers)); err != nil {
		return "", err
	}
	var out bytes.Buffer
	writeHeaders(&out, "ResponseHeader", headers)
	return out.String() + reply.GetValue(), nil
}

// dialGRPC makes the one connection that all calls of a run share. The name is resolved by the dialer, once.
func dialGRPC(authority string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+authority,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", address)
		}))
}
