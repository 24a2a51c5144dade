package status

import (
	"math"
	"slices"
)

// Definitions are the definitions of the Gateway API that a cluster has.
type Definitions struct {
	Minor        int // of v1; 0 when it is not known
	Experimental bool
	// TrustBundles tells that the cluster, of which they are a part, has ClusterTrustBundles.
	TrustBundles bool
}

// feature is something of the Gateway API, and since when its definitions have the kinds and fields for it: minor versions of v1. The
// experimental channel is often earlier.
type feature struct {
	name                   string
	standard, experimental int
}

const (
	always = 0
	never  = math.MaxInt
)

// featureTrustBundle needs more than the definitions.
const featureTrustBundle = "ClusterTrustBundle"

// FeatureAddressRoutability is the one that gives addresses a field for their routability.
const FeatureAddressRoutability = "GatewayAddressRoutability"

// gatewayFeatures is the table, by name.
var gatewayFeatures = []feature{
	{"BackendTLSPolicy", 4, 4},
	{"BackendTLSPolicySANValidation", 4, 4},
	{featureTrustBundle, never, 7},
	{"GRPCRoute", always, always},
	{"GRPCRouteNamedRouteRule", 4, always},
	{"GRPCRouteRequestHeaderModifier", always, always},
	{"Gateway", always, always},
	{"GatewayAddressEmpty", 3, 3},
	{FeatureAddressRoutability, never, 7},
	{FeatureAddressRoutability + "Cluster", never, 7},
	{"GatewayBackendClientCertificate", 5, 4},
	{"GatewayFrontendClientCertificateValidation", 5, 4},
	{"GatewayFrontendClientCertificateValidationInsecureFallback", 5, 4},
	{"GatewayHTTPListenerIsolation", always, always},
	{"GatewayHTTPSListenerDetectMisdirectedRequests", always, always},
	{"GatewayInfrastructure", always, always},
	{"GatewayListenerFilters", never, 7},
	{"GatewayPort8080", always, always},
	{"GatewayRouteHostnameIntersectionPrecedence", always, always},
	{"GatewayStaticAddresses", always, always},
	{"HTTPRoute", always, always},
	{"HTTPRoute303RedirectStatusCode", 5, 5},
	{"HTTPRoute307RedirectStatusCode", 5, 5},
	{"HTTPRoute308RedirectStatusCode", 5, 5},
	{"HTTPRouteBackendProtocolH2C", always, always},
	{"HTTPRouteBackendProtocolWebSocket", always, always},
	{"HTTPRouteBackendRequestHeaderModification", always, always},
	{"HTTPRouteBackendTimeout", always, always},
	{"HTTPRouteBackendURLRewrite", always, always},
	{"HTTPRouteCORS", 5, 3},
	{"HTTPRouteDestinationPortMatching", never, always},
	{"HTTPRouteExternalAuth", never, 4},
	{"HTTPRouteExternalAuthForwardBody", never, 4},
	{"HTTPRouteExternalAuthGRPC", never, 4},
	{"HTTPRouteExternalAuthHTTP", never, 4},
	{"HTTPRouteHostRewrite", always, always},
	{"HTTPRouteMethodMatching", always, always},
	{"HTTPRouteNamedRouteRule", 4, always},
	{"HTTPRouteParentRefPort", always, always},
	{"HTTPRoutePathRedirect", always, always},
	{"HTTPRoutePathRewrite", always, always},
	{"HTTPRoutePortRedirect", always, always},
	{"HTTPRouteQueryParamMatching", always, always},
	{"HTTPRouteRequestMirror", always, always},
	{"HTTPRouteRequestMultipleMirrors", always, always},
	{"HTTPRouteRequestPercentageMirror", 3, always},
	{"HTTPRouteRequestTimeout", always, always},
	{"HTTPRouteResponseHeaderModification", always, always},
	{"HTTPRouteRetryCodes", 7, always},
	{"HTTPRouteRetryConnectionError", 7, always},
	{"HTTPRouteSchemeRedirect", always, always},
	{"ListenerSet", 5, 5},
	{"ReferenceGrant", always, always},
	{"TCPRoute", 6, 6},
	{"TLSRoute", 5, 5},
	{"TLSRouteModeMixed", 5, 5},
	{"TLSRouteModeTerminate", 5, 5},
	{"UDPRoute", 6, 6},
}

// GatewayFeatures are the features that gateways support in a cluster with these definitions, by the names of
// GatewayClass.status.supportedFeatures, sorted. What nobody can ask for is not among them.
func GatewayFeatures(of Definitions) []string {
	var out []string
	for _, f := range gatewayFeatures {
		if f.in(of) {
			out = append(out, f.name)
		}
	}
	return out
}

// in tells whether the definitions have the fields for it.
func (f feature) in(d Definitions) bool {
	if f.name == featureTrustBundle && !d.TrustBundles {
		return false
	}
	if d.Experimental {
		return f.experimental <= d.Minor
	}
	return f.standard <= d.Minor
}

// Has tells whether the definitions have the fields for a feature that gateways support.
func (d Definitions) Has(name string) bool {
	return slices.ContainsFunc(gatewayFeatures, func(f feature) bool { return f.name == name && f.in(d) })
}
