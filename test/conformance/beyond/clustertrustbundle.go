package beyond

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/conformance/utils/tls"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// trustBundle is the bundle that the manifests of both tests name.
const trustBundle = "leno-conformance-trust-bundle"

// ClusterTrustBundleBackend is what GEP-5075 says about BackendTLSPolicies.
var ClusterTrustBundleBackend = suite.ConformanceTest{
	ShortName:   "ClusterTrustBundleBackend",
	Description: "A BackendTLSPolicy takes its authorities from a ClusterTrustBundle, and follows it when it is missing, made, changed and deleted.",
	Features: []features.FeatureName{
		Feature, features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy, features.SupportClusterTrustBundle,
	},
	Manifests: []string{"manifests/clustertrustbundle-backend.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		ns := suite.InfrastructureNamespace
		gateway, policy := named(ns, "same-namespace"), named(ns, "clustertrustbundle")
		address := kubernetes.GatewayAndHTTPRoutesMustBeAccepted(t, s.Client, s.TimeoutConfig, s.ControllerName,
			kubernetes.NewGatewayRef(gateway), named(ns, "clustertrustbundle"))
		expect := func(t *testing.T, status ...int) {
			t.Helper()
			http.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, address, http.ExpectedResponse{
				Request:   http.Request{Host: "abc.example.com", Path: "/clustertrustbundle", SNI: "abc.example.com"},
				Response:  http.Response{StatusCodes: status},
				Namespace: ns, Backend: "tls-backend",
			})
		}
		refused := func(t *testing.T) {
			t.Helper()
			policyMustHave(t, s, policy.Name, gatewayv1.PolicyConditionAccepted, metav1.ConditionFalse, gatewayv1.BackendTLSPolicyReasonNoValidCACertificate)
			policyMustHave(t, s, policy.Name, gatewayv1.BackendTLSPolicyConditionResolvedRefs, metav1.ConditionFalse, gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef)
			expect(t, 500, 502, 503)
		}
		served := func(t *testing.T) {
			t.Helper()
			policyMustHave(t, s, policy.Name, gatewayv1.PolicyConditionAccepted, metav1.ConditionTrue, gatewayv1.PolicyReasonAccepted)
			policyMustHave(t, s, policy.Name, gatewayv1.BackendTLSPolicyConditionResolvedRefs, metav1.ConditionTrue, gatewayv1.BackendTLSPolicyReasonResolvedRefs)
			expect(t, 200)
		}
		right, wrong := authority(t, s, "tls-checks-ca-certificate"), authority(t, s, "mismatch-ca-certificate")
		t.Run("missing", refused)
		setTrustBundle(t, s, right)
		t.Run("made", served)
		setTrustBundle(t, s, wrong)
		t.Run("of another authority", func(t *testing.T) {
			policyMustHave(t, s, policy.Name, gatewayv1.BackendTLSPolicyConditionResolvedRefs, metav1.ConditionTrue, gatewayv1.BackendTLSPolicyReasonResolvedRefs)
			expect(t, 500, 502, 503)
		})
		setTrustBundle(t, s, wrong+right)
		t.Run("changed to hold both", served)
		deleteTrustBundle(t, s)
		t.Run("deleted", refused)
	},
}

// ClusterTrustBundleFrontend is what GEP-5075 says about the certificates of a gateway's clients.
var ClusterTrustBundleFrontend = suite.ConformanceTest{
	ShortName:   "ClusterTrustBundleFrontend",
	Description: "A Gateway takes the authorities of its clients' certificates from a ClusterTrustBundle.",
	Features: []features.FeatureName{
		Feature, features.SupportGateway, features.SupportHTTPRoute,
		features.SupportGatewayFrontendClientCertificateValidation, features.SupportClusterTrustBundle,
	},
	Manifests: []string{"manifests/clustertrustbundle-frontend.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		ns := suite.InfrastructureNamespace
		gateway := named(ns, "clustertrustbundle-frontend")
		t.Run("missing", func(t *testing.T) {
			listenerMustHave(t, s, gateway, "https", condition(string(gatewayv1.ListenerConditionResolvedRefs), metav1.ConditionFalse,
				string(gatewayv1.ListenerReasonInvalidCACertificateRef)))
		})
		setTrustBundle(t, s, authority(t, s, "tls-validity-checks-ca-certificate"))
		address := kubernetes.GatewayAndHTTPRoutesMustBeAccepted(t, s.Client, s.TimeoutConfig, s.ControllerName,
			kubernetes.NewGatewayRef(gateway), named(ns, "clustertrustbundle-frontend"))
		server, _, err := kubernetes.GetTLSSecret(s.Client, named(ns, "tls-validity-checks-certificate"))
		require.NoError(t, err)
		expected := http.ExpectedResponse{
			Request: http.Request{Host: "example.org", Path: "/"}, Response: http.Response{StatusCode: 200}, Backend: "infra-backend-v1", Namespace: ns,
		}
		t.Run("a client of the bundle's authority", func(t *testing.T) {
			cert, key, err := kubernetes.GetTLSSecret(s.Client, named(ns, "tls-validity-checks-client-certificate"))
			require.NoError(t, err)
			tls.MakeTLSRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, address, server, cert, key, "example.org", expected)
		})
		t.Run("a client of another", func(t *testing.T) {
			cert, key, err := kubernetes.GetTLSSecret(s.Client, named(ns, "tls-validity-checks-per-port-client-certificate"))
			require.NoError(t, err)
			tls.MakeTLSRequestAndExpectEventuallyConsistentFailureResponse(t, s.RoundTripper, s.TimeoutConfig, address, server, cert, key, "example.org", expected)
		})
	},
}

func policyMustHave(t *testing.T, s *suite.ConformanceTestSuite, policy string, kind gatewayv1.PolicyConditionType, status metav1.ConditionStatus, reason gatewayv1.PolicyConditionReason) {
	t.Helper()
	ns := suite.InfrastructureNamespace
	kubernetes.BackendTLSPolicyMustHaveCondition(t, s.Client, s.TimeoutConfig, named(ns, policy), named(ns, "same-namespace"),
		condition(string(kind), status, string(reason)))
}

// authority is a certificate of the suite's base, PEM.
func authority(t *testing.T, s *suite.ConformanceTestSuite, configMap string) string {
	t.Helper()
	data, err := kubernetes.GetConfigMapData(s.Client, s.TimeoutConfig, named(suite.InfrastructureNamespace, configMap))
	require.NoError(t, err)
	return data["ca.crt"]
}

// setTrustBundle makes the bundle, or changes what is in it; it goes with the test.
func setTrustBundle(t *testing.T, s *suite.ConformanceTestSuite, pem string) {
	t.Helper()
	bundles := s.Clientset.CertificatesV1().ClusterTrustBundles()
	bundle, err := bundles.Get(t.Context(), trustBundle, metav1.GetOptions{})
	if err == nil {
		bundle.Spec.TrustBundle = pem
		_, err = bundles.Update(t.Context(), bundle, metav1.UpdateOptions{})
		require.NoError(t, err)
		return
	}
	_, err = bundles.Create(t.Context(), &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: trustBundle}, Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: pem},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = bundles.Delete(context.Background(), trustBundle, metav1.DeleteOptions{}) // the test may have deleted it
	})
}

func deleteTrustBundle(t *testing.T, s *suite.ConformanceTestSuite) {
	t.Helper()
	require.NoError(t, s.Clientset.CertificatesV1().ClusterTrustBundles().Delete(t.Context(), trustBundle, metav1.DeleteOptions{}))
}
