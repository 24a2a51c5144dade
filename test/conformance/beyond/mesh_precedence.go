package beyond

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/echo"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// conflicted is the condition of a route that another kind of route on the same port of a Service keeps out of effect (GEP-1294).
var conflicted = condition(string(gatewayv1.RouteConditionAccepted), metav1.ConditionFalse, "Conflicted")

// precedence is a pair of routes on one port. The winner leads to echo-v1, the other one to echo-v2.
type precedence struct {
	name          string
	winner, loser client.Object
	winnerStatus  func() gatewayv1.RouteStatus
	loserStatus   func() gatewayv1.RouteStatus
	request       func(backend string) http.ExpectedResponse
}

// MeshRoutePrecedence is the order of the kinds of routes on one port of a Service.
var MeshRoutePrecedence = suite.ConformanceTest{
	ShortName:   "MeshRoutePrecedence",
	Description: "Of routes of several kinds on one port of a Service one kind is in effect: GRPCRoute before HTTPRoute before TLSRoute before TCPRoute.",
	Features: []features.FeatureName{
		Feature, features.SupportMesh, features.SupportGRPCRoute, features.SupportHTTPRoute, features.SupportTLSRoute, features.SupportTCPRoute,
		MeshTLSRoute, MeshTCPRoute,
	},
	Manifests: []string{"manifests/mesh-route-precedence.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		from := echo.ConnectToApp(t, s, echo.MeshAppEchoV1)
		for _, pair := range precedences() {
			t.Run(pair.name, func(t *testing.T) {
				serviceParentMustHave(t, s, pair.winner, pair.winnerStatus, accepted)
				serviceParentMustHave(t, s, pair.loser, pair.loserStatus, conflicted)
				from.MakeRequestAndExpectEventuallyConsistentResponse(t, pair.request("echo-v1"), s.TimeoutConfig)
				require.NoError(t, s.Client.Delete(t.Context(), pair.winner))
				serviceParentMustHave(t, s, pair.loser, pair.loserStatus, accepted)
				from.MakeRequestAndExpectEventuallyConsistentResponse(t, pair.request("echo-v2"), s.TimeoutConfig)
			})
		}
	},
}

func precedences() []precedence {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: suite.MeshNamespace, Name: "precedence-" + name}
	}
	grpc := &gatewayv1.GRPCRoute{ObjectMeta: meta("grpc-over-http")}
	underGRPC := &gatewayv1.HTTPRoute{ObjectMeta: meta("http-under-grpc")}
	overTLSRoute := &gatewayv1.HTTPRoute{ObjectMeta: meta("http-over-tls")}
	underHTTP := &gatewayv1.TLSRoute{ObjectMeta: meta("tls-under-http")}
	overTCPRoute := &gatewayv1.TLSRoute{ObjectMeta: meta("tls-over-tcp")}
	underTLS := &gatewayv1.TCPRoute{ObjectMeta: meta("tcp-under-tls")}
	plain := func(protocol, host string) func(string) http.ExpectedResponse {
		return func(backend string) http.ExpectedResponse {
			return http.ExpectedResponse{Request: http.Request{Protocol: protocol, Host: host, Path: "/"}, Backend: backend}
		}
	}
	// An HTTPRoute on a port of no declared protocol hides a TLSRoute there; when it is gone, TLS to that port is routed by its server name.
	httpThenTLS := func(backend string) http.ExpectedResponse {
		if backend == "echo-v1" {
			return plain("http", "precedence:8080")(backend)
		}
		return http.ExpectedResponse{
			Request: http.Request{Protocol: "https", Host: "precedence:8080", Path: "/", Headers: map[string]string{"Host": "one.example.com"}}, Backend: backend,
		}
	}
	return []precedence{
		{
			name: "GRPCRoute over HTTPRoute", winner: grpc, loser: underGRPC,
			winnerStatus: func() gatewayv1.RouteStatus { return grpc.Status.RouteStatus },
			loserStatus:  func() gatewayv1.RouteStatus { return underGRPC.Status.RouteStatus },
			request:      plain("grpc", "echo:7070"),
		},
		{
			name: "HTTPRoute over TLSRoute", winner: overTLSRoute, loser: underHTTP,
			winnerStatus: func() gatewayv1.RouteStatus { return overTLSRoute.Status.RouteStatus },
			loserStatus:  func() gatewayv1.RouteStatus { return underHTTP.Status.RouteStatus },
			request:      httpThenTLS,
		},
		{
			name: "TLSRoute over TCPRoute", winner: overTCPRoute, loser: underTLS,
			winnerStatus: func() gatewayv1.RouteStatus { return overTCPRoute.Status.RouteStatus },
			loserStatus:  func() gatewayv1.RouteStatus { return underTLS.Status.RouteStatus },
			request:      func(backend string) http.ExpectedResponse { return overTLS("one.example.com", backend) },
		},
	}
}
