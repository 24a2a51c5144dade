//go:build differential

package differential

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

// authorizer is a backend that is an authorization server in Envoy's protocol. It shows what it was told like any request, and
// answers as X-Answer asks for: yes but for a status that refuses.
type authorizer struct {
	authv3.UnimplementedAuthorizationServer
	backends *backends
	service  string
}

// isAuthorizer tells by its name that a Service, or an XBackend, is one.
func isAuthorizer(service string) bool {
	return strings.HasSuffix(service, "/authz") || strings.HasSuffix(service, "/login")
}

func (b *backends) authorize(listener net.Listener, service string) {
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, &authorizer{backends: b, service: service})
	go server.Serve(listener) // ends with Stop
	b.t.Cleanup(server.Stop)
}

// Check answers a question.
func (a *authorizer) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	h := r.GetAttributes().GetRequest().GetHttp()
	m := message{start: "CHECK " + h.GetMethod() + " " + h.GetPath() + " of " + h.GetHost() + " by " + h.GetScheme() + ", " + h.GetProtocol(), body: string(h.GetRawBody())}
	for _, name := range slices.Sorted(maps.Keys(h.GetHeaders())) {
		m.fields = append(m.fields, name+": "+h.GetHeaders()[name])
	}
	a.backends.add(seen{service: a.service, message: m})
	if h.GetHeaders()["x-answer"] == "404" {
		return &authv3.CheckResponse{
			Status: &rpcstatus.Status{Code: 7},
			HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
				Status: &typev3.HttpStatus{Code: typev3.StatusCode_NotFound}, Headers: headerOptions("X-Backend", a.service), Body: "no",
			}},
		}, nil
	}
	return &authv3.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
		Headers: headerOptions("X-Set", a.service), HeadersToRemove: []string{"X-Gone"}, ResponseHeadersToAdd: headerOptions("X-Authorized", "yes"),
		QueryParametersToSet: []*corev3.QueryParameter{{Key: "y", Value: "set"}},
	}}}, nil
}

func headerOptions(name, value string) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: name, Value: value}}}
}
