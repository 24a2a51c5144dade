package beyond

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/echo"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/conformance/utils/tlog"
	"sigs.k8s.io/gateway-api/conformance/utils/weight"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// accepted is the condition of a route that is in effect.
var accepted = condition(string(gatewayv1.RouteConditionAccepted), metav1.ConditionTrue, string(gatewayv1.RouteReasonAccepted))

// MeshTLSRouteByServerName is TLSRoutes on a Service: connections that the application itself encrypts, by the server name that they ask for.
var MeshTLSRouteByServerName = suite.ConformanceTest{
	ShortName:   "MeshTLSRouteByServerName",
	Description: "TLSRoutes on a Service choose the backend of a TLS connection by its server name, without terminating it.",
	Features:    []features.FeatureName{Feature, features.SupportMesh, features.SupportTLSRoute, MeshTLSRoute},
	Manifests:   []string{"manifests/mesh-tlsroute.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		for _, name := range []string{"mesh-tlsroute-exact", "mesh-tlsroute-wildcard"} {
			route := &gatewayv1.TLSRoute{ObjectMeta: metav1.ObjectMeta{Namespace: suite.MeshNamespace, Name: name}}
			serviceParentMustHave(t, s, route, func() gatewayv1.RouteStatus { return route.Status.RouteStatus }, accepted)
		}
		client := echo.ConnectToApp(t, s, echo.MeshAppEchoV1)
		for serverName, backend := range map[string]string{"one.example.com": "echo-v1", "two.example.com": "echo-v2", "a.b.example.com": "echo-v2"} {
			t.Run(serverName, func(t *testing.T) {
				client.MakeRequestAndExpectEventuallyConsistentResponse(t, overTLS(serverName, backend), s.TimeoutConfig)
			})
		}
		t.Run("a name of no route is refused", func(t *testing.T) {
			http.AwaitConvergence(t, s.TimeoutConfig, func(time.Duration) bool {
				_, response, err := client.CaptureRequestResponseAndCompare(t, overTLS("example.org", "echo-"))
				if err == nil {
					tlog.Logf(t, "answered by %s", response.Hostname)
				}
				return err != nil
			})
		})
		t.Run("other ports are not touched", func(t *testing.T) {
			client.MakeRequestAndExpectEventuallyConsistentResponse(t,
				http.ExpectedResponse{Request: http.Request{Host: "echo", Path: "/"}, Backend: "echo-"}, s.TimeoutConfig)
		})
	},
}

// MeshTCPRouteWeight is a TCPRoute on a Service.
var MeshTCPRouteWeight = suite.ConformanceTest{
	ShortName:   "MeshTCPRouteWeight",
	Description: "A TCPRoute on a Service distributes connections over its backends by their weights.",
	Features:    []features.FeatureName{Feature, features.SupportMesh, features.SupportTCPRoute, MeshTCPRoute},
	Manifests:   []string{"manifests/mesh-tcproute.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		route := &gatewayv1.TCPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: suite.MeshNamespace, Name: "mesh-tcproute"}}
		serviceParentMustHave(t, s, route, func() gatewayv1.RouteStatus { return route.Status.RouteStatus }, accepted)
		client := echo.ConnectToApp(t, s, echo.MeshAppEchoV1)
		expected := overTCP("echo-")
		sender := weight.NewBatchFunctionBasedSender(func(count int) ([]string, error) {
			answers, err := client.RequestBatch(t, expected, count)
			if err != nil {
				return nil, err
			}
			hosts := make([]string, 0, len(answers))
			for _, answer := range answers {
				hosts = append(hosts, answer.Hostname)
			}
			return hosts, nil
		})
		weight.ExpectWeightedDistributionBatch(t, s.TimeoutConfig, sender, map[string]float64{"echo-v1": 0.7, "echo-v2": 0.3})
	},
}

// overTLS is a request to port 443 of Service echo, whose TLS asks for a server name.
func overTLS(serverName, backend string) http.ExpectedResponse {
	return http.ExpectedResponse{
		Request: http.Request{Protocol: "https", Host: "echo", Path: "/", Headers: map[string]string{"Host": serverName}},
		Backend: backend,
	}
}

// overTCP is a line to port 9090 of Service echo.
func overTCP(backend string) http.ExpectedResponse {
	return http.ExpectedResponse{Request: http.Request{Protocol: "tcp", Host: "echo:9090"}, Backend: backend}
}
