package conformance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/consts"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/leno-mesh/leno/test/conformance/beyond"
	"github.com/leno-mesh/leno/test/conformance/summary"
)

// profiles are all that v1.7.0 has.
var profiles = summary.ProfileNames()

// meshFeatures is what Leno claims for the mesh: all there is. (A GatewayClass cannot say so, and XMesh is not in the standard channel.)
var meshFeatures = features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures)

// uncountedFeatures switch on mesh tests that belong to no profile: MeshConsumerRoute, MeshFrontend,
// MeshFrontendHostname, MeshPorts and the redirects 303, 307 and 308. In a run with gateways the GatewayClass claims them.
var uncountedFeatures = sets.New(
	features.SupportHTTPRouteResponseHeaderModification,
	features.SupportHTTPRouteParentRefPort,
	features.SupportHTTPRoute303RedirectStatusCode,
	features.SupportHTTPRoute307RedirectStatusCode,
	features.SupportHTTPRoute308RedirectStatusCode,
)

// plan chooses the features that the tests are selected by, unless flags did.
func plan(t *testing.T, opts *suite.ConformanceOptions, all []suite.ConformanceTest) {
	t.Helper()
	if opts.EnableAllSupportedFeatures || len(opts.SupportedFeatures) != 0 {
		return
	}
	if opts.RunTest != "" {
		single(t, opts, all)
		return
	}
	within := sets.Set[features.FeatureName]{}
	for _, name := range opts.ConformanceProfiles {
		profile, ok := summary.Profile(name)
		require.True(t, ok, "there is no profile %q; there are %v", name, profiles)
		within = within.Union(profile.CoreFeatures).Union(profile.ExtendedFeatures)
	}
	claims := meshFeatures.Clone()
	if within.Has(features.SupportGateway) {
		claims = claims.Union(claimed(t, opts.Client, opts.GatewayClassName))
	} else {
		claims = claims.Union(uncountedFeatures)
		within = within.Union(uncountedFeatures)
	}
	if len(opts.ConformanceProfiles) < len(profiles) {
		claims = claims.Intersection(within)
	} else {
		claims.Insert(beyond.Feature)
		here := channel(t, opts.Client)
		for _, f := range beyond.Claimed {
			if here == features.FeatureChannelExperimental || f.Channel == features.FeatureChannelStandard {
				claims.Insert(f.Name)
			}
		}
	}
	opts.SupportedFeatures = sets.List(claims)
}

// single plans the run of one test: no profile, so that only the half of the suite's base that this test needs is brought up.
func single(t *testing.T, opts *suite.ConformanceOptions, all []suite.ConformanceTest) {
	t.Helper()
	i := slices.IndexFunc(all, func(test suite.ConformanceTest) bool { return test.ShortName == opts.RunTest })
	require.GreaterOrEqual(t, i, 0, "there is no test %q", opts.RunTest)
	needs := sets.New(all[i].Features...)
	opts.ConformanceProfiles = nil
	opts.SupportedFeatures = sets.List(needs)
	// Some tests expect other answers when a feature is claimed that they do not list.
	if needs.Has(features.SupportGateway) {
		claims := claimed(t, opts.Client, opts.GatewayClassName)
		opts.SupportedFeatures = sets.List(needs.Union(claims).Delete(features.SupportMesh))
	}
}

// claimed is what the GatewayClass says it supports.
func claimed(t *testing.T, c client.Client, name string) sets.Set[features.FeatureName] {
	t.Helper()
	class := gatewayv1.GatewayClass{}
	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Name: name}, &class),
		"the profiles need GatewayClass %q: install Leno, or name another one with --gateway-class", name)
	out := sets.Set[features.FeatureName]{}
	for _, f := range class.Status.SupportedFeatures {
		out.Insert(features.FeatureName(f.Name))
	}
	return out
}

// channel is the one of the Gateway API's definitions in the cluster.
func channel(t *testing.T, c client.Client) string {
	t.Helper()
	crd := apiextensionsv1.CustomResourceDefinition{}
	require.NoError(t, c.Get(t.Context(), client.ObjectKey{Name: "gateways." + gatewayv1.GroupName}, &crd), "the cluster has no Gateway API")
	return crd.Annotations[consts.ChannelAnnotation]
}
