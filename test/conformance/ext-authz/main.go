// Command ext-authz decides about requests in Envoy's ext_authz protocol over gRPC: the authorization server of the tests in package
// beyond. Its rules are plain, so that a test can see what reached it:
//
//   - a path below /denied is denied with 403 and the header "X-Auth-Denied: <path>";
//   - all else is allowed, and the request goes on with "X-Auth-User: <the request's X-User, or nobody>" and without X-Secret.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const address = ":9000"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ext-authz:", err)
		os.Exit(1)
	}
}

// serve answers until ctx ends.
func serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, authorizer{})
	context.AfterFunc(ctx, server.GracefulStop)
	fmt.Println("listening on", address)
	return server.Serve(listener)
}

type authorizer struct {
	authv3.UnimplementedAuthorizationServer
}

// Check is called for each request.
func (authorizer) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	request := r.GetAttributes().GetRequest().GetHttp()
	if strings.HasPrefix(request.GetPath(), "/denied") {
		return &authv3.CheckResponse{
			Status: &status.Status{Code: int32(codes.PermissionDenied)},
			HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
				Status:  &typev3.HttpStatus{Code: typev3.StatusCode_Forbidden},
				Headers: headers("X-Auth-Denied", request.GetPath()),
			}},
		}, nil
	}
	user := request.GetHeaders()["x-user"]
	if user == "" {
		user = "nobody"
	}
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers:         headers("X-Auth-User", user),
			HeadersToRemove: []string{"X-Secret"},
		}},
	}, nil
}

func headers(name, value string) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}
