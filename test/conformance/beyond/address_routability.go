package beyond

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

const (
	// sentinel is the value that GEP-5093 reserves for conformance tests.
	sentinel gatewayv1.GatewayAddressRoutabilityType = "testing.x-k8s.io/sentinel"
	cluster                                          = gatewayv1.GatewayAddressRoutabilityCluster
)

// What becomes of a Gateway whose requests for addresses are all satisfied, or none. The reason of the first is the API's constant; the prose of
// GEP-5093 says "Assigned".
var (
	addressesAssigned = condition(string(gatewayv1.GatewayConditionAddressesAssigned), metav1.ConditionTrue,
		string(gatewayv1.GatewayReasonAddressesAssigned))
	addressesNotAssigned = condition(string(gatewayv1.GatewayConditionAddressesAssigned), metav1.ConditionFalse,
		string(gatewayv1.GatewayReasonAddressesNotAssigned))
	notProgrammed = condition(string(gatewayv1.GatewayConditionProgrammed), metav1.ConditionFalse,
		string(gatewayv1.GatewayReasonAddressNotAssigned))
)

// GatewayAddressRoutability is the scenarios of GEP-5093 that need only the feature of that name.
var GatewayAddressRoutability = suite.ConformanceTest{
	ShortName:   "GatewayAddressRoutability",
	Description: "Each address of a Gateway says where it can be reached from, and the one that is reserved for tests is supported.",
	Features:    []features.FeatureName{Feature, features.SupportGateway, features.SupportGatewayAddressRoutability},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		t.Run("the API accepts and refuses values", func(t *testing.T) { routabilityValues(t, s) })
		for name, addresses := range map[string][]gatewayv1.GatewaySpecAddress{"routability-unset": nil, "routability-empty": {{}}} {
			t.Run(name+" is explicit in status", func(t *testing.T) {
				gateway := gatewayOnceSettled(t, s, gatewayWith(t, s, name, addresses...), addressesAssigned)
				require.NotEmpty(t, gateway.Status.Addresses)
				for _, address := range gateway.Status.Addresses {
					require.NotNil(t, address.Routability, "address %s", address.Value)
					if *address.Routability == cluster {
						assert.True(t, s.SupportedFeatures.Has(features.SupportGatewayAddressRoutabilityCluster), "Cluster is reported but not claimed")
						assert.True(t, inServiceRange(t, s, address.Value), "%s is in no ServiceCIDR", address.Value)
					} else {
						assert.Empty(t, *address.Routability)
					}
				}
			})
		}
		t.Run("the sentinel is supported", func(t *testing.T) {
			gateway := gatewayOnceSettled(t, s, gatewayWith(t, s, "routability-sentinel", reach(sentinel)), addressesAssigned)
			require.Len(t, gateway.Status.Addresses, 1)
			require.NotNil(t, gateway.Status.Addresses[0].Routability)
			assert.Equal(t, sentinel, *gateway.Status.Addresses[0].Routability)
		})
		t.Run("other values of the sentinel's prefix are not", func(t *testing.T) {
			name := gatewayWith(t, s, "routability-unknown", reach("testing.x-k8s.io/unknown"))
			gatewayOnceSettled(t, s, name, addressesNotAssigned)
			gatewayOnceSettled(t, s, name, notProgrammed)
		})
	},
}

func reach(r gatewayv1.GatewayAddressRoutabilityType) gatewayv1.GatewaySpecAddress {
	return gatewayv1.GatewaySpecAddress{Type: new(gatewayv1.IPAddressType), Routability: r}
}

// gatewayWith makes a Gateway that asks for addresses. It is in no manifest: the suite takes addresses that it does not know out of those.
func gatewayWith(t *testing.T, s *suite.ConformanceTestSuite, name string, addresses ...gatewayv1.GatewaySpecAddress) types.NamespacedName {
	t.Helper()
	gateway := gatewayObject(s, name, addresses...)
	s.Applier.MustApplyObjectsWithCleanup(t, s.Client, s.TimeoutConfig, []client.Object{gateway}, s.CleanupTestResources)
	return client.ObjectKeyFromObject(gateway)
}

func gatewayObject(s *suite.ConformanceTestSuite, name string, addresses ...gatewayv1.GatewaySpecAddress) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: suite.InfrastructureNamespace, Name: name,
			// Not all are meant to become ready.
			Annotations: map[string]string{"gateway-api/skip-this-for-readiness": "true"},
		},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: gatewayv1.ObjectName(s.GatewayClassName),
			Addresses:        addresses,
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
}

// routabilityValues asks the API server, without creating anything.
func routabilityValues(t *testing.T, s *suite.ConformanceTestSuite) {
	for value, accepted := range map[gatewayv1.GatewayAddressRoutabilityType]bool{
		"": true, cluster: true, sentinel: true, "example.com/CorpWan": true,
		"Public": false, "example.com/": false, "/value": false, "Example_/value": false,
		"k8s.io/value": false, "example.k8s.io/value": false, "gateway.networking.k8s.io/value": false,
	} {
		err := s.Client.Create(t.Context(), gatewayObject(s, "routability-values", reach(value)), client.DryRunAll)
		if accepted {
			assert.NoError(t, err, "routability %q", value)
		} else {
			assert.True(t, apierrors.IsInvalid(err), "routability %q: %v", value, err)
		}
	}
}

// GatewayAddressRoutabilityCluster is the scenarios of GEP-5093 about ClusterIPs, and that they can be reached.
var GatewayAddressRoutabilityCluster = suite.ConformanceTest{
	ShortName:   "GatewayAddressRoutabilityCluster",
	Description: "A Gateway can ask for an address that is a ClusterIP, by itself, beside others, and by its value.",
	Features: []features.FeatureName{
		Feature, features.SupportGateway, features.SupportHTTPRoute, features.SupportGatewayStaticAddresses,
		features.SupportGatewayAddressRoutability, features.SupportGatewayAddressRoutabilityCluster,
	},
	Manifests: []string{"manifests/gateway-address-routability-cluster.yaml"},
	Test: func(t *testing.T, s *suite.ConformanceTestSuite) {
		ns := suite.InfrastructureNamespace
		t.Run("a ClusterIP is reported and serves", func(t *testing.T) {
			gateway := gatewayOnceSettled(t, s, gatewayWith(t, s, "routability-cluster", reach(cluster)), addressesAssigned)
			require.Len(t, gateway.Status.Addresses, 1)
			mustBeClusterIP(t, s, gateway.Status.Addresses[0])
			kubernetes.HTTPRouteMustBeAcceptedAndResolved(t, s.Client, s.TimeoutConfig, named(ns, "routability-cluster"), named(ns, "routability-cluster"))
			http.MakeRequestAndExpectEventuallyConsistentResponse(t, s.RoundTripper, s.TimeoutConfig, gateway.Status.Addresses[0].Value, http.ExpectedResponse{
				Request: http.Request{Path: "/"}, Backend: "infra-backend-v1", Namespace: ns,
			})
		})
		t.Run("two requests get one address each", func(t *testing.T) {
			gateway := gatewayOnceSettled(t, s, gatewayWith(t, s, "routability-mixed", reach(""), reach(cluster)), addressesAssigned)
			require.Len(t, gateway.Status.Addresses, 2)
			assert.NotEqual(t, gateway.Status.Addresses[0].Value, gateway.Status.Addresses[1].Value)
			clusterIPs := 0
			for _, address := range gateway.Status.Addresses {
				require.NotNil(t, address.Routability)
				if *address.Routability == cluster {
					mustBeClusterIP(t, s, address)
					clusterIPs++
				}
			}
			assert.GreaterOrEqual(t, clusterIPs, 1)
		})
		t.Run("a value outside the range is not satisfied, one inside is used", func(t *testing.T) {
			outside := reach(cluster)
			outside.Value = "192.0.2.1" // in no cluster's range of Services (RFC 5737)
			name := gatewayWith(t, s, "routability-static", outside)
			gatewayOnceSettled(t, s, name, addressesNotAssigned)
			gateway := gatewayOnceSettled(t, s, name, notProgrammed)
			before := gateway.DeepCopy()
			gateway.Spec.Addresses[0].Value = lastOf(serviceRanges(t, s)[0]).String()
			require.NoError(t, s.Client.Patch(t.Context(), &gateway, client.MergeFrom(before)))
			settled := gatewayOnceSettled(t, s, name, addressesAssigned)
			require.Len(t, settled.Status.Addresses, 1)
			assert.Equal(t, gateway.Spec.Addresses[0].Value, settled.Status.Addresses[0].Value)
			mustBeClusterIP(t, s, settled.Status.Addresses[0])
		})
	},
}

func mustBeClusterIP(t *testing.T, s *suite.ConformanceTestSuite, address gatewayv1.GatewayStatusAddress) {
	t.Helper()
	require.NotNil(t, address.Routability)
	assert.Equal(t, cluster, *address.Routability)
	assert.True(t, inServiceRange(t, s, address.Value), "%s is in no ServiceCIDR", address.Value)
}

func inServiceRange(t *testing.T, s *suite.ConformanceTestSuite, value string) bool {
	t.Helper()
	ip, err := netip.ParseAddr(value)
	if err != nil {
		return false // a host name
	}
	for _, r := range serviceRanges(t, s) {
		if r.Contains(ip) {
			return true
		}
	}
	return false
}

// serviceRanges are the cluster's ServiceCIDRs.
func serviceRanges(t *testing.T, s *suite.ConformanceTestSuite) []netip.Prefix {
	t.Helper()
	list, err := s.Clientset.NetworkingV1().ServiceCIDRs().List(context.Background(), metav1.ListOptions{})
	require.NoError(t, err, "list ServiceCIDRs")
	var out []netip.Prefix
	for _, item := range list.Items {
		out = append(out, ranges(t, item)...)
	}
	require.NotEmpty(t, out, "the cluster has no ServiceCIDR")
	return out
}

func ranges(t *testing.T, item networkingv1.ServiceCIDR) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, text := range item.Spec.CIDRs {
		prefix, err := netip.ParsePrefix(text)
		require.NoError(t, err, "ServiceCIDR %s", item.Name)
		out = append(out, prefix)
	}
	return out
}

// lastOf is the last address of a range that a Service may have: the very last one is left out, as the API server does.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	ip, _ := netip.AddrFromSlice(bytes) // as many bytes as it came with
	return ip.Prev()
}
