// Package interop_test runs the test cases of gRPC's own interoperability suite, as grpc-go has them, from an application's client
// through two sidecars with mutual TLS between them to an application's server.
//
// Cases about credentials of the channel or the call (compute_engine_creds, service_account_creds, jwt_token_creds, per_rpc_creds,
// oauth2_auth_token, google_default_credentials, compute_engine_channel_credentials) need TLS from client to server and accounts of
// Google's: the application's connection to its sidecar is plain text. orca_oob needs a server that reports more often than grpc-go
// lets others than its own tests.
package interop_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"

	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/test/inproc"
)

// failure is how grpc-go's test cases end when something is wrong: by a fatal line of its log.
type failure string

// fatal makes a panic of what would end the process.
type fatal struct{ grpclog.LoggerV2 }

func (fatal) Fatal(args ...any)                 { panic(failure(fmt.Sprint(args...))) }
func (fatal) Fatalln(args ...any)               { panic(failure(fmt.Sprintln(args...))) }
func (fatal) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func TestMain(m *testing.M) {
	grpclog.SetLoggerV2(fatal{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)})
	os.Exit(m.Run())
}

// suite is a client of grpc-go's test service.
type suite struct {
	conn *grpc.ClientConn
	dial func() *grpc.ClientConn
}

func (s suite) service() testpb.TestServiceClient { return testpb.NewTestServiceClient(s.conn) }

// cases by the names that they have in the suite. A method of each tells that its calls were seen as calls.
var cases = []struct {
	name, method string
	run          func(context.Context, suite)
}{
	{"empty_unary", "EmptyCall", func(ctx context.Context, s suite) { interop.DoEmptyUnaryCall(ctx, s.service()) }},
	{"large_unary", "UnaryCall", func(ctx context.Context, s suite) { interop.DoLargeUnaryCall(ctx, s.service()) }},
	{"client_streaming", "StreamingInputCall", func(ctx context.Context, s suite) { interop.DoClientStreaming(ctx, s.service()) }},
	{"server_streaming", "StreamingOutputCall", func(ctx context.Context, s suite) { interop.DoServerStreaming(ctx, s.service()) }},
	{"ping_pong", "FullDuplexCall", func(ctx context.Context, s suite) { interop.DoPingPong(ctx, s.service()) }},
	{"empty_stream", "FullDuplexCall", func(ctx context.Context, s suite) { interop.DoEmptyStream(ctx, s.service()) }},
	{"timeout_on_sleeping_server", "FullDuplexCall", func(ctx context.Context, s suite) { interop.DoTimeoutOnSleepingServer(ctx, s.service()) }},
	{"cancel_after_begin", "StreamingInputCall", func(ctx context.Context, s suite) { interop.DoCancelAfterBegin(ctx, s.service()) }},
	{"cancel_after_first_response", "FullDuplexCall", func(ctx context.Context, s suite) { interop.DoCancelAfterFirstResponse(ctx, s.service()) }},
	{"status_code_and_message", "UnaryCall", func(ctx context.Context, s suite) { interop.DoStatusCodeAndMessage(ctx, s.service()) }},
	{"special_status_message", "UnaryCall", func(ctx context.Context, s suite) { interop.DoSpecialStatusMessage(ctx, s.service()) }},
	{"custom_metadata", "FullDuplexCall", func(ctx context.Context, s suite) { interop.DoCustomMetadata(ctx, s.service()) }},
	{"unimplemented_method", "UnimplementedCall", func(ctx context.Context, s suite) { interop.DoUnimplementedMethod(ctx, s.conn) }},
	{"unimplemented_service", "UnimplementedCall", func(ctx context.Context, s suite) {
		interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(s.conn))
	}},
	{"pick_first_unary", "UnaryCall", func(ctx context.Context, s suite) { interop.DoPickFirstUnary(ctx, s.service()) }},
	{"rpc_soak", "UnaryCall", func(ctx context.Context, s suite) {
		soak(ctx, func() (*grpc.ClientConn, func()) { return s.conn, func() {} })
	}},
	{"channel_soak", "UnaryCall", func(ctx context.Context, s suite) {
		soak(ctx, func() (*grpc.ClientConn, func()) {
			conn := s.dial()
			return conn, func() { _ = conn.Close() }
		})
	}},
	{"orca_per_rpc", "UnaryCall", func(ctx context.Context, s suite) { interop.DoORCAPerRPCTest(ctx, s.service()) }},
}

func soak(ctx context.Context, channel func() (*grpc.ClientConn, func())) {
	interop.DoSoakTest(ctx, interop.SoakTestConfig{
		RequestSize: 271828, ResponseSize: 314159, PerIterationMaxAcceptableLatency: 5 * time.Second, OverallTimeout: 20 * time.Second,
		NumWorkers: 2, Iterations: 20, ChannelForTest: channel,
	})
}

// manifests make sidecars record paths, and a Service with a port that is declared as gRPC and one of which nothing is said.
const manifests = `
---
apiVersion: mesh.leno.dev/v1alpha1
kind: Mesh
metadata: {name: default}
spec: {proxy: {accessLog: true}}
---
apiVersion: v1
kind: Service
metadata: {namespace: inproc, name: tested}
spec:
  selector: {app: tested}
  ports:
  - {name: grpc, port: 80, targetPort: 8080}
  - {name: other, port: 81, targetPort: 8080}
`

func TestInterop(t *testing.T) {
	m := inproc.Start(t, inproc.Options{App: func(deployment string) inproc.Serve {
		if deployment == "tested" {
			return serve
		}
		return nil
	}}, inproc.Deployment(inproc.Namespace, "client", "client")+inproc.Deployment(inproc.Namespace, "tested", "tested")+manifests)
	client := m.Pod("client")
	for name, port := range map[string]string{"declared": "tested:80", "detected": "tested:81"} {
		t.Run(name, func(t *testing.T) {
			dial := func() *grpc.ClientConn {
				conn, err := grpc.NewClient("passthrough:///"+client.Address(t, port), grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				return conn
			}
			s := suite{dial(), dial}
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					begin := time.Now()
					play(t, s, c.run)
					for direction, p := range map[telemetry.Direction]*inproc.Pod{telemetry.Outbound: client, telemetry.Inbound: m.Pod("tested")} {
						m.Eventually("a record of "+c.method, func() bool {
							return slices.ContainsFunc(p.Records.Requests(direction), func(r telemetry.Request) bool {
								return !r.Start.Before(begin) && strings.HasSuffix(r.Path, c.method) && r.Protocol == "gRPC" && r.MTLS && r.GRPC != ""
							})
						})
					}
				})
			}
		})
	}
}

// play runs a case, and fails the test when grpc-go says that something is wrong.
func play(t *testing.T, s suite, run func(context.Context, suite)) {
	defer func() {
		if r := recover(); r != nil {
			said, ok := r.(failure)
			if !ok {
				panic(r)
			}
			t.Fatal(said)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run(ctx, s)
}

// named is a server that tells who it is, which pick_first_unary asks for and grpc-go's does not do.
type named struct{ testpb.TestServiceServer }

func (n named) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	answer, err := n.TestServiceServer.UnaryCall(ctx, r)
	if err == nil && r.GetFillServerId() {
		answer.ServerId = "tested"
	}
	return answer, err
}

// serve is grpc-go's interoperability server.
func serve(l net.Listener) (stop func()) {
	s := grpc.NewServer(orca.CallMetricsServerOption(nil))
	tests := interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: orca.NewServerMetricsRecorder()})
	testpb.RegisterTestServiceServer(s, named{tests})
	go func() { _ = s.Serve(l) }() // ends with Stop
	return s.Stop
}
