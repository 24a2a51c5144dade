package beyond

import (
	"testing"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// GatewayListenerFilters is what GEP-5224 asks of filters before routing, as far as ExternalAuth can show it.
var GatewayListenerFilters = suite.ConformanceTest{
	ShortName:   "GatewayListenerFilters",
	Description: "A listener's filters run before a route is chosen: they can deny, in their order, and what they set is what routes match.",
	Features: []features.FeatureName{
		Feature, features.SupportGateway, features.SupportHTTPRoute, features.SupportGatewayListenerFilters, HTTPRouteExternalAuth, HTTPRouteExternalAuthHTTP,
	},
	Manifests: []string{"manifests/listener-filters.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		ns := suite.InfrastructureNamespace
		address := kubernetes.GatewayAndHTTPRoutesMustBeAccepted(t, s.Client, s.TimeoutConfig, s.ControllerName,
			kubernetes.NewGatewayRef(named(ns, "listener-filters")), named(ns, "listener-filters-plain"), named(ns, "listener-filters-tenant"))
		const host = "filters.example.com"
		cases := []http.ExpectedResponse{{
			TestCaseName: "allowed, nothing set",
			Request:      http.Request{Host: host, Path: "/"},
			Backend:      "infra-backend-v1", Namespace: ns,
		}, {
			TestCaseName:              "routes match the header that the filter set",
			Request:                   http.Request{Host: host, Path: "/"},
			BackendSetResponseHeaders: map[string]string{"X-Tenant": "blue"},
			Backend:                   "infra-backend-v3", Namespace: ns,
		}, {
			TestCaseName:              "and not the one that the client sent",
			Request:                   http.Request{Host: host, Path: "/", Headers: map[string]string{"X-Tenant": "blue"}},
			BackendSetResponseHeaders: map[string]string{"X-Tenant": "green"},
			ExpectedRequest:           &http.ExpectedRequest{Request: http.Request{Host: host, Path: "/", Headers: map[string]string{"X-Tenant": "green"}}},
			Backend:                   "infra-backend-v1", Namespace: ns,
		}, {
			TestCaseName:              "the host cannot be changed",
			Request:                   http.Request{Host: host, Path: "/"},
			BackendSetResponseHeaders: map[string]string{"Host": "other.example.com"},
			ExpectedRequest:           &http.ExpectedRequest{Request: http.Request{Host: host, Path: "/"}},
			Backend:                   "infra-backend-v1", Namespace: ns,
		}, {
			TestCaseName: "a denial ends it",
			Request:      http.Request{Host: host, Path: "/status/403"},
			Response:     http.Response{StatusCode: 403},
		}, {
			TestCaseName: "also where no route matches",
			Request:      http.Request{Host: "nobody.example.com", Path: "/status/401"},
			Response:     http.Response{StatusCode: 401},
		}}
		for i, tc := range cases {
			t.Run(tc.GetTestCaseName(i), func(t *testing.T) {
				http.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, address, tc)
			})
		}
	},
}

// GatewayListenerFiltersInvalid is what GEP-5224 says about filters that cannot be in effect.
var GatewayListenerFiltersInvalid = suite.ConformanceTest{
	ShortName:   "GatewayListenerFiltersInvalid",
	Description: "A listener says which of its filters refers to nothing, or to what it may not; only HTTP and HTTPS listeners have filters.",
	Features:    []features.FeatureName{Feature, features.SupportGateway, features.SupportReferenceGrant, features.SupportGatewayListenerFilters},
	Manifests:   []string{"manifests/listener-filters-invalid.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		gateway := named(suite.InfrastructureNamespace, "listener-filters-invalid")
		for listener, reason := range map[gatewayv1.SectionName]string{
			"nonexistent": "InvalidListenerFilterRef", "unknown-kind": "InvalidListenerFilterRef", "forbidden": string(gatewayv1.ListenerReasonRefNotPermitted),
		} {
			t.Run(string(listener), func(t *testing.T) {
				listenerMustHave(t, s, gateway, listener, condition(string(gatewayv1.ListenerConditionResolvedRefs), metav1.ConditionFalse, reason))
			})
		}
		t.Run("a type of filter that is not supported", func(t *testing.T) {
			listenerMustHave(t, s, gateway, "extension", condition(string(gatewayv1.ListenerConditionAccepted), metav1.ConditionFalse, string(gatewayv1.ListenerReasonUnsupportedValue)))
		})
		t.Run("a TCP listener", func(t *testing.T) {
			object := gatewayObject(s, "listener-filters-tcp")
			object.Spec.Listeners[0].Protocol = gatewayv1.TCPProtocolType
			object.Spec.Listeners[0].Filters = &gatewayv1.ListenerFilters{Requests: []gatewayv1.ListenerFilter{{
				Type: gatewayv1.ListenerFilterExternalAuth,
				ExternalAuth: &gatewayv1.HTTPExternalAuthFilter{
					ExternalAuthProtocol: gatewayv1.HTTPRouteExternalAuthHTTPProtocol,
					BackendRef:           gatewayv1.BackendObjectReference{Name: "infra-backend-v2", Port: new(gatewayv1.PortNumber(8080))},
					HTTPAuthConfig:       &gatewayv1.HTTPAuthConfig{},
				},
			}}}
			err := s.Client.Create(t.Context(), object, client.DryRunAll)
			assert.True(t, apierrors.IsInvalid(err), "created: %v", err)
		})
	},
}
