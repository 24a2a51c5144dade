// Package beyond has tests in the shape of the Gateway API conformance suite, for what v1.7.0 describes but does not test. They run beside
// the suite's own, by the features that are claimed, and count in no profile: each needs Feature, which no profile has.
package beyond

import (
	"embed"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// Feature marks the tests of this package. It is claimed whenever they may run.
const Feature features.FeatureName = "leno.dev/BeyondTheSuite"

// Features that the API's documentation names (HTTPRoute types, GEP-1494, GEP-1619) and the suite does not know.
const (
	HTTPRouteExternalAuth       features.FeatureName = "HTTPRouteExternalAuth"
	HTTPRouteExternalAuthHTTP   features.FeatureName = "HTTPRouteExternalAuthHTTP"
	HTTPRouteExternalAuthGRPC   features.FeatureName = "HTTPRouteExternalAuthGRPC"
	HTTPRouteSessionPersistence features.FeatureName = "HTTPRouteSessionPersistence"
)

// Features that nobody has named: what GEP-1294 allows on Services.
const (
	MeshTLSRoute                    features.FeatureName = "leno.dev/MeshTLSRoute"
	MeshTCPRoute                    features.FeatureName = "leno.dev/MeshTCPRoute"
	MeshHTTPRouteSessionPersistence features.FeatureName = "leno.dev/MeshHTTPRouteSessionPersistence"
)

// Claimed are the features of this package that Leno has and that no status can claim, each from the channel on that has the fields
// for it. The others are claimed in the status of the GatewayClass.
var Claimed = []features.Feature{
	{Name: HTTPRouteSessionPersistence, Channel: features.FeatureChannelExperimental},
	{Name: MeshHTTPRouteSessionPersistence, Channel: features.FeatureChannelExperimental},
	{Name: MeshTLSRoute, Channel: features.FeatureChannelStandard},
	{Name: MeshTCPRoute, Channel: features.FeatureChannelStandard},
}

// Tests are all tests of this package.
var Tests = []suite.ConformanceTest{
	GatewayAddressRoutability,
	GatewayAddressRoutabilityCluster,
	ClusterTrustBundleBackend,
	ClusterTrustBundleFrontend,
	HTTPRouteExternalAuthOverHTTP,
	HTTPRouteExternalAuthOverGRPC,
	GatewayListenerFilters,
	GatewayListenerFiltersInvalid,
	HTTPRouteSessionPersistenceCookie,
	MeshHTTPRouteSessionPersistenceCookie,
	MeshTLSRouteByServerName,
	MeshTCPRouteWeight,
	MeshRoutePrecedence,
}

// Manifests are what the tests apply.
//
//go:embed manifests/*.yaml
var Manifests embed.FS
