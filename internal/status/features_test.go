package status_test

import (
	"slices"
	"testing"

	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/leno-mesh/leno/internal/status"
)

// newest is the minor version of the Gateway API whose list of features this module is built with.
const newest = 7

// untested are features of the experimental channel that the documentation of the API's types names (HTTPExternalAuthFilter), and that
// the suite has no test for.
var untested = []string{
	"HTTPRouteExternalAuth", "HTTPRouteExternalAuthForwardBody", "HTTPRouteExternalAuthGRPC", "HTTPRouteExternalAuthHTTP",
}

// What is claimed is on the suite's list, and in the standard channel only what the suite has there: a test whose fields the API server
// drops would run and fail.
func TestFeaturesFitTheChannel(t *testing.T) {
	standard := status.GatewayFeatures(status.Definitions{Minor: newest})
	for _, name := range status.GatewayFeatures(status.Definitions{Minor: newest, Experimental: true, TrustBundles: true}) {
		f := features.GetFeature(features.FeatureName(name))
		if slices.Contains(untested, name) {
			if f.Name != "" || slices.Contains(standard, name) {
				t.Errorf("%s: the suite has it, or it is claimed in the standard channel", name)
			}
			continue
		}
		switch {
		case f.Name == "":
			t.Errorf("%s is no feature of the suite", name)
		case slices.Contains(standard, name) != (f.Channel == features.FeatureChannelStandard):
			t.Errorf("%s: the suite has it in channel %s", name, f.Channel)
		}
	}
}

// No version takes back what an earlier one had, and no channel has less than the standard one. The API server takes sorted lists of at
// most 64.
func TestFeaturesGrow(t *testing.T) {
	for _, experimental := range []bool{false, true} {
		var before []string
		for minor := range newest + 1 {
			now := status.GatewayFeatures(status.Definitions{Minor: minor, Experimental: experimental})
			for _, lists := range [][]string{before, status.GatewayFeatures(status.Definitions{Minor: minor})} {
				for _, name := range lists {
					if !slices.Contains(now, name) {
						t.Errorf("v1.%d, experimental %v: %s is missing", minor, experimental, name)
					}
				}
			}
			if len(now) > 64 || !slices.IsSorted(now) {
				t.Errorf("v1.%d, experimental %v: %d features: %q", minor, experimental, len(now), now)
			}
			before = now
		}
	}
}

func TestFeaturesOfVersions(t *testing.T) {
	for _, tc := range []struct {
		feature string
		of      status.Definitions
		want    bool
	}{
		{"HTTPRoute", status.Definitions{}, true},
		{"HTTPRouteRetryCodes", status.Definitions{Minor: 6}, false},
		{"HTTPRouteRetryCodes", status.Definitions{Minor: 6, Experimental: true}, true},
		{"HTTPRouteRetryCodes", status.Definitions{Minor: 7}, true},
		{"TCPRoute", status.Definitions{Minor: 5, Experimental: true}, false}, // v1alpha2 only
		{"TCPRoute", status.Definitions{Minor: 6}, true},
		{"HTTPRouteDestinationPortMatching", status.Definitions{Minor: 7}, false},
		{"ClusterTrustBundle", status.Definitions{Minor: 7, Experimental: true}, false},
		{"ClusterTrustBundle", status.Definitions{Minor: 7, Experimental: true, TrustBundles: true}, true},
		{"HTTPRouteExternalAuth", status.Definitions{Minor: 3, Experimental: true}, false},
		{"HTTPRouteExternalAuth", status.Definitions{Minor: 4, Experimental: true}, true},
		{"HTTPRouteExternalAuth", status.Definitions{Minor: 7}, false},
		{"GatewayListenerFilters", status.Definitions{Minor: 6, Experimental: true}, false},
		{"GatewayListenerFilters", status.Definitions{Minor: 7, Experimental: true}, true},
		{"GatewayListenerFilters", status.Definitions{Minor: 7}, false},
	} {
		if got := slices.Contains(status.GatewayFeatures(tc.of), tc.feature); got != tc.want {
			t.Errorf("%s of %+v: %v", tc.feature, tc.of, got)
		}
	}
}
