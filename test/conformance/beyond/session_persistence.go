package beyond

import (
	"fmt"
	nethttp "net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/gateway-api/conformance/utils/echo"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/conformance/utils/tlog"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// sessionRequests is how many requests must reach the same pod (GEP-1619 says at least 50).
const sessionRequests = 50

// HTTPRouteSessionPersistenceCookie is the scenarios of GEP-1619 about cookies of HTTPRoutes on Gateways.
var HTTPRouteSessionPersistenceCookie = suite.ConformanceTest{
	ShortName:   "HTTPRouteSessionPersistenceCookie",
	Description: "An HTTPRoute with session persistence sends all requests with the cookie of the first answer to the same pod.",
	Features:    []features.FeatureName{Feature, features.SupportGateway, features.SupportHTTPRoute, HTTPRouteSessionPersistence},
	Manifests:   []string{"manifests/session-persistence.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		ns := suite.InfrastructureNamespace
		kubernetes.NamespacesMustBeReady(t, s.Client, s.TimeoutConfig, []string{ns})
		address := kubernetes.GatewayAndHTTPRoutesMustBeAccepted(t, s.Client, s.TimeoutConfig, s.ControllerName,
			kubernetes.NewGatewayRef(named(ns, "same-namespace")), named(ns, "session-persistence"))
		// ask sends a request and returns the pod that answered and the answer's cookie.
		ask := func(t *testing.T, path, cookie string) (string, string, error) {
			expected := http.ExpectedResponse{Request: http.Request{Host: "session.example.com", Path: path}, Backend: "session-backend", Namespace: ns}
			if cookie != "" {
				expected.Request.Headers = map[string]string{"Cookie": cookie}
			}
			request := http.MakeRequest(t, &expected, address, "HTTP", "http")
			captured, response, err := s.RoundTripper.CaptureRoundTrip(request)
			if err != nil {
				return "", "", err
			}
			if response.StatusCode != 200 {
				return "", "", fmt.Errorf("status %d", response.StatusCode)
			}
			return captured.Pod, nethttp.Header(response.Headers).Get("Set-Cookie"), nil
		}
		t.Run("for a session", func(t *testing.T) {
			cookie := sessionHolds(t, s, func(cookie string) (string, string, error) { return ask(t, "/session", cookie) })
			assert.Zero(t, cookie.MaxAge, "Max-Age of a session's cookie")
			assert.True(t, cookie.Expires.IsZero(), "Expires of a session's cookie")
			assert.Equal(t, "/", cookie.Path)
		})
		t.Run("for five minutes, under a chosen name", func(t *testing.T) {
			cookie := sessionHolds(t, s, func(cookie string) (string, string, error) { return ask(t, "/permanent", cookie) })
			assert.Equal(t, "leno-conformance", cookie.Name)
			lifetime := time.Duration(cookie.MaxAge) * time.Second
			if cookie.MaxAge == 0 {
				lifetime = time.Until(cookie.Expires)
			}
			assert.InDelta(t, 5*time.Minute, lifetime, float64(10*time.Second), "lifetime of the cookie")
		})
	},
}

// MeshHTTPRouteSessionPersistenceCookie is the same for a route on a Service.
var MeshHTTPRouteSessionPersistenceCookie = suite.ConformanceTest{
	ShortName:   "MeshHTTPRouteSessionPersistenceCookie",
	Description: "An HTTPRoute with session persistence on a Service sends all requests with the cookie of the first answer to the same pod.",
	Features:    []features.FeatureName{Feature, features.SupportMesh, features.SupportHTTPRoute, MeshHTTPRouteSessionPersistence},
	Manifests:   []string{"manifests/mesh-session-persistence.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		client := echo.ConnectToApp(t, s, echo.MeshAppEchoV1)
		cookie := sessionHolds(t, s, func(cookie string) (string, string, error) {
			expected := http.ExpectedResponse{Request: http.Request{Host: "echo", Path: "/"}, Backend: "echo-"}
			if cookie != "" {
				expected.Request.Headers = map[string]string{"Cookie": cookie}
			}
			_, response, err := client.CaptureRequestResponseAndCompare(t, expected)
			return response.Hostname, response.ResponseHeaders.Get("Set-Cookie"), err
		})
		assert.Zero(t, cookie.MaxAge, "Max-Age of a session's cookie")
		assert.True(t, cookie.Expires.IsZero(), "Expires of a session's cookie")
	},
}

// sessionHolds waits until answers have a cookie and requests without it go to several pods, and expects that those with it go to one.
// ask sends a request, with a cookie unless empty, and returns the pod that answered and its Set-Cookie header.
func sessionHolds(t *testing.T, s *suite.ConformanceTestSuite, ask func(cookie string) (pod, set string, err error)) *nethttp.Cookie {
	t.Helper()
	var cookie *nethttp.Cookie
	pods := map[string]bool{}
	http.AwaitConvergence(t, s.TimeoutConfig, func(time.Duration) bool {
		pod, set, err := ask("")
		if err == nil {
			cookie, err = nethttp.ParseSetCookie(set)
		}
		if err != nil {
			tlog.Logf(t, "no cookie yet: %v", err)
			return false
		}
		pods[pod] = true
		return len(pods) > 1
	})
	clear(pods)
	for range sessionRequests {
		pod, _, err := ask(cookie.Name + "=" + cookie.Value)
		require.NoError(t, err)
		pods[pod] = true
	}
	assert.Len(t, pods, 1, "pods that requests with the cookie %s went to", cookie)
	return cookie
}
