// Package conformance runs the Gateway API conformance suite, v1.7.0, against a cluster that Leno is installed in.
// hack/conformance.sh is the way to start it; README.md says how.
//
// The suite's own flags work and win over the choices made here ("-args --run-test=MeshBasic").
package conformance

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/flags"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/test/conformance/beyond"
	"github.com/leno-mesh/leno/test/conformance/summary"
)

var onlyBeyond = flag.Bool("beyond", false, "run only the tests of package beyond")

// gatewayClass is the GatewayClass that Leno serves.
const gatewayClass = "leno"

// Static addresses for the suite: the last one of the test cluster's load balancer pool (test/cluster/layout), which hands out the first
// free one, and one that is in no pool (RFC 5737).
const (
	usableAddress   = "10.98.0.254"
	unusableAddress = "192.0.2.1"
)

// injection is the label that asks for sidecars.
var injection = map[string]string{"mesh.leno.dev/inject": "enabled"}

func TestConformance(t *testing.T) {
	all := slices.Concat(tests.ConformanceTests, beyond.Tests)
	if *onlyBeyond {
		all = beyond.Tests
	}
	opts := options(t)
	whole := opts.RunTest == "" && len(opts.ConformanceProfiles) == len(profiles)
	plan(t, &opts, all)
	run(t, opts, all, whole)
}

// options are the suite's, from its flags, with what they left out filled in.
func options(t *testing.T) suite.ConformanceOptions {
	t.Helper()
	opts := conformance.DefaultOptions(t)
	if opts.GatewayClassName == flags.DefaultGatewayClassName {
		opts.GatewayClassName = gatewayClass
	}
	if len(opts.ConformanceProfiles) == 0 {
		opts.ConformanceProfiles = profiles
	}
	address := func(ip string) []gatewayv1.GatewaySpecAddress {
		return []gatewayv1.GatewaySpecAddress{{Type: new(gatewayv1.IPAddressType), Value: ip}}
	}
	if opts.UsableNetworkAddresses == nil {
		opts.UsableNetworkAddresses = address(usableAddress)
	}
	if opts.UnusableNetworkAddresses == nil {
		opts.UnusableNetworkAddresses = address(unusableAddress)
	}
	opts.ManifestFS = append(opts.ManifestFS, beyond.Manifests)
	opts.Implementation = implementation(opts.Implementation)
	return opts
}

// run is the suite's own RunConformanceWithOptions, but it fails when a test that should have run did not, and it
// writes a summary beside the report. whole says that no test may be missing at all.
func run(t *testing.T, opts suite.ConformanceOptions, all []suite.ConformanceTest, whole bool) {
	t.Helper()
	outcomes := summary.Outcomes{}
	opts.Hook = func(t *testing.T, test suite.ConformanceTest, s *suite.ConformanceTestSuite) {
		outcomes.Record(t, test, s.SupportedFeatures)
	}
	s, err := suite.NewConformanceTestSuite(opts)
	require.NoError(t, err, "make the suite")
	// Registered before the suite's own cleanups, so that it runs after them.
	t.Cleanup(func() {
		report, err := s.Report()
		require.NoError(t, err, "make the report")
		summary.Sort(report)
		if opts.ReportOutputPath != "" {
			write(t, opts.ReportOutputPath, report, summary.Render(report, all, &outcomes))
		}
		if opts.RunTest == "" {
			for _, complaint := range outcomes.Complaints(all, report.GatewayAPIChannel, whole) {
				t.Error(complaint)
			}
		}
	})
	setup(t, s, all)
	require.NoError(t, s.Run(t, all), "run the suite")
}

// setup brings up what the suite's tests share. The pods of the mesh tests get sidecars, the backends of the gateway tests none: the
// suite would give all namespaces the same labels, so the two halves are set up one after the other.
func setup(t *testing.T, s *suite.ConformanceTestSuite, all []suite.ConformanceTest) {
	t.Helper()
	supported := s.SupportedFeatures
	if supported.Has(features.SupportGateway) {
		s.SupportedFeatures = supported.Clone().Delete(features.SupportMesh)
		s.Setup(t, all)
	}
	if supported.Has(features.SupportMesh) {
		s.SupportedFeatures = supported.Clone().Delete(features.SupportGateway)
		given := s.Applier.NamespaceLabels
		s.Applier.NamespaceLabels = injection
		s.Setup(t, all)
		s.Applier.NamespaceLabels = given
	}
	s.SupportedFeatures = supported
}

func write(t *testing.T, path string, report *confv1.ConformanceReport, table string) {
	t.Helper()
	raw, err := yaml.Marshal(report)
	require.NoError(t, err, "encode the report")
	dir := filepath.Dir(path)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(path, raw, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "summary.md"), []byte(table), 0o644))
	t.Logf("%s\n%s", raw, table)
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
