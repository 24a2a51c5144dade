package beyond

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// The authorization server of the tests over HTTP is the suite's echo server: it answers /status/NNN with NNN and all else with 200, and
// its answer has the header that the request's X-Echo-Set-Header asks for.

// HTTPRouteExternalAuthOverHTTP is filter ExternalAuth with protocol HTTP (GEP-1494).
var HTTPRouteExternalAuthOverHTTP = suite.ConformanceTest{
	ShortName:   "HTTPRouteExternalAuthOverHTTP",
	Description: "An HTTPRoute asks an HTTP server whether a request may pass: only 200 says yes, and its headers go to the backend.",
	Features:    []features.FeatureName{Feature, features.SupportGateway, features.SupportHTTPRoute, HTTPRouteExternalAuth, HTTPRouteExternalAuthHTTP},
	Manifests:   []string{"manifests/externalauth-http.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		ns := suite.InfrastructureNamespace
		address := kubernetes.GatewayAndHTTPRoutesMustBeAccepted(t, s.Client, s.TimeoutConfig, s.ControllerName,
			kubernetes.NewGatewayRef(named(ns, "same-namespace")), named(ns, "externalauth-http"))
		const host = "externalauth.example.com"
		fromServer := map[string]string{"X-From-Auth": "yes"}
		cases := []http.ExpectedResponse{{
			TestCaseName:    "200 allows, and the rule's other filters apply",
			Request:         http.Request{Host: host, Path: "/status/200"},
			ExpectedRequest: &http.ExpectedRequest{Request: http.Request{Host: host, Path: "/rewritten"}},
			Backend:         "infra-backend-v1", Namespace: ns,
		}, {
			// The backend would have answered 200: its path is rewritten.
			TestCaseName: "403 denies",
			Request:      http.Request{Host: host, Path: "/status/403"},
			Response:     http.Response{StatusCode: 403},
		}, {
			TestCaseName: "401 denies",
			Request:      http.Request{Host: host, Path: "/status/401"},
			Response:     http.Response{StatusCode: 401},
		}, {
			TestCaseName: "the path has the prefix: allowed",
			Request:      http.Request{Host: host, Path: "/200"},
			Backend:      "infra-backend-v1", Namespace: ns,
		}, {
			TestCaseName: "the path has the prefix: denied",
			Request:      http.Request{Host: host, Path: "/403"},
			Response:     http.Response{StatusCode: 403},
		}, {
			TestCaseName:              "headers that may be asked with and copied",
			Request:                   http.Request{Host: host, Path: "/copied"},
			BackendSetResponseHeaders: fromServer,
			ExpectedRequest:           &http.ExpectedRequest{Request: http.Request{Host: host, Path: "/copied", Headers: fromServer}},
			Backend:                   "infra-backend-v1", Namespace: ns,
		}, {
			TestCaseName:              "headers that may not",
			Request:                   http.Request{Host: host, Path: "/kept"},
			BackendSetResponseHeaders: fromServer,
			ExpectedRequest: &http.ExpectedRequest{
				Request: http.Request{Host: host, Path: "/kept"}, AbsentHeaders: []string{"X-From-Auth"},
			},
			Backend: "infra-backend-v1", Namespace: ns,
		}, {
			TestCaseName: "a server that cannot be reached denies",
			Request:      http.Request{Host: host, Path: "/unreachable"},
			Response:     http.Response{StatusCodes: []int{403, 500, 502, 503, 504}},
		}, {
			TestCaseName: "a rule without the filter asks nobody",
			Request:      http.Request{Host: host, Path: "/open"},
			Backend:      "infra-backend-v1", Namespace: ns,
		}}
		for i, tc := range cases {
			t.Run(tc.GetTestCaseName(i), func(t *testing.T) {
				http.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, address, tc)
			})
		}
	},
}

// HTTPRouteExternalAuthOverGRPC is filter ExternalAuth with protocol GRPC: Envoy's ext_authz. The server is ext-authz beside this package.
var HTTPRouteExternalAuthOverGRPC = suite.ConformanceTest{
	ShortName:   "HTTPRouteExternalAuthOverGRPC",
	Description: "An HTTPRoute asks an ext_authz server over gRPC whether a request may pass.",
	Features:    []features.FeatureName{Feature, features.SupportGateway, features.SupportHTTPRoute, HTTPRouteExternalAuth, HTTPRouteExternalAuthGRPC},
	Manifests:   []string{"manifests/ext-authz.yaml", "manifests/externalauth-grpc.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		ns := suite.InfrastructureNamespace
		kubernetes.NamespacesMustBeReady(t, s.Client, s.TimeoutConfig, []string{ns})
		address := kubernetes.GatewayAndHTTPRoutesMustBeAccepted(t, s.Client, s.TimeoutConfig, s.ControllerName,
			kubernetes.NewGatewayRef(named(ns, "same-namespace")), named(ns, "externalauth-grpc"))
		const host = "ext-authz.example.com"
		cases := []http.ExpectedResponse{{
			TestCaseName: "allowed, with a header set and one removed",
			Request:      http.Request{Host: host, Path: "/allowed", Headers: map[string]string{"X-User": "ann", "X-Secret": "s", "X-Auth-User": "forged"}},
			ExpectedRequest: &http.ExpectedRequest{
				Request:       http.Request{Host: host, Path: "/allowed", Headers: map[string]string{"X-Auth-User": "ann"}},
				AbsentHeaders: []string{"X-Secret"},
			},
			Backend: "infra-backend-v1", Namespace: ns,
		}, {
			TestCaseName: "denied, with the server's status and header",
			Request:      http.Request{Host: host, Path: "/denied/path"},
			Response:     http.Response{StatusCode: 403, Headers: map[string]string{"X-Auth-Denied": "/denied/path"}},
		}, {
			TestCaseName: "only the headers that are allowed reach the server",
			Request:      http.Request{Host: host, Path: "/few", Headers: map[string]string{"X-User": "ann"}},
			ExpectedRequest: &http.ExpectedRequest{
				Request: http.Request{Host: host, Path: "/few", Headers: map[string]string{"X-User": "ann", "X-Auth-User": "nobody"}},
			},
			Backend: "infra-backend-v1", Namespace: ns,
		}}
		for i, tc := range cases {
			t.Run(tc.GetTestCaseName(i), func(t *testing.T) {
				http.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, address, tc)
			})
		}
	},
}
