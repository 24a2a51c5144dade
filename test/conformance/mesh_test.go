// Package conformance runs the Gateway API conformance suite, v1.7.0, against a cluster that Leno is installed in:
//
//	KUBECONFIG=... go test . -v -timeout 1h
//
// The suite's own flags work and win over the choices made here ("-args --run-test=MeshBasic").
package conformance

import (
	"os"
	"path/filepath"
	"testing"

	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// report is where the report goes unless --report-output says otherwise. A run of single tests writes none.
const report = "reports/mesh-http.yaml"

// meshFeatures is the whole of profile MESH-HTTP, core and extended.
var meshFeatures = []features.FeatureName{
	features.SupportMesh,
	features.SupportHTTPRoute,
	features.SupportMeshClusterIPMatching,
	features.SupportMeshConsumerRoute,
	features.SupportMeshHTTPRouteBackendRequestHeaderModification,
	features.SupportMeshHTTPRouteNamedRouteRule,
	features.SupportMeshHTTPRouteQueryParamMatching,
	features.SupportMeshHTTPRouteRedirectPath,
	features.SupportMeshHTTPRouteRedirectPort,
	features.SupportMeshHTTPRouteRewritePath,
	features.SupportMeshHTTPRouteSchemeRedirect,
}

// uncountedFeatures switch on mesh tests that belong to no profile: MeshConsumerRoute, MeshFrontend,
// MeshFrontendHostname, MeshPorts and the redirects 303, 307 and 308. They fail the run but show in no report.
var uncountedFeatures = []features.FeatureName{
	features.SupportHTTPRouteResponseHeaderModification,
	features.SupportHTTPRouteParentRefPort,
	features.SupportHTTPRoute303RedirectStatusCode,
	features.SupportHTTPRoute307RedirectStatusCode,
	features.SupportHTTPRoute308RedirectStatusCode,
}

func TestConformance(t *testing.T) {
	opts := conformance.DefaultOptions(t)
	opts.GatewayClassName = ""
	if len(opts.ConformanceProfiles) == 0 {
		opts.ConformanceProfiles = []suite.ConformanceProfileName{suite.MeshHTTPConformanceProfileName}
	}
	if len(opts.SupportedFeatures) == 0 {
		opts.SupportedFeatures = append(append(opts.SupportedFeatures, meshFeatures...), uncountedFeatures...)
	}
	if len(opts.NamespaceLabels) == 0 {
		opts.NamespaceLabels = map[string]string{"mesh.leno.dev/inject": "enabled"}
	}
	opts.Implementation = implementation(opts.Implementation)
	if opts.ReportOutputPath == "" && opts.RunTest == "" {
		opts.ReportOutputPath = report
		if err := os.MkdirAll(filepath.Dir(report), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conformance.RunConformanceWithOptions(t, opts)
}

// implementation fills what the flags left out; reports are refused without all of it.
func implementation(given confv1.Implementation) confv1.Implementation {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&given.Organization, "leno-mesh")
	fill(&given.Project, "leno")
	fill(&given.URL, "https://github.com/leno-mesh/leno")
	fill(&given.Version, "devel")
	if len(given.Contact) == 0 {
		given.Contact = []string{"https://github.com/leno-mesh/leno/issues"}
	}
	return given
}
