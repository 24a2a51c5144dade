package summary

import (
	"os"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// ended is a test that has ended.
type ended struct{ failed, skipped bool }

func (e ended) Failed() bool  { return e.failed }
func (e ended) Skipped() bool { return e.skipped }

var (
	routing   = suite.ConformanceTest{ShortName: "Routing", Features: list(features.SupportGateway, features.SupportHTTPRoute)}
	retry     = suite.ConformanceTest{ShortName: "Retry", Provisional: true, Features: list(features.SupportGateway, features.SupportHTTPRouteRetryCodes)}
	mixed     = suite.ConformanceTest{ShortName: "Mixed", Features: list(features.SupportHTTPRoute, features.SupportTLSRoute)}
	portMatch = suite.ConformanceTest{ShortName: "PortMatch", Features: list(features.SupportGateway, features.SupportHTTPRouteDestinationPortMatching)}

	ours = suite.ConformanceTest{ShortName: "Ours", Features: list(features.SupportGateway, "example.com/Ours")}

	all       = []suite.ConformanceTest{routing, retry, mixed, portMatch, ours}
	supported = sets.New(features.SupportGateway, features.SupportHTTPRoute, features.SupportHTTPRouteRetryCodes, features.SupportTLSRoute)
)

func list(f ...features.FeatureName) []features.FeatureName { return f }

func TestRender(t *testing.T) {
	var outcomes Outcomes
	outcomes.Record(ended{}, routing, supported)
	outcomes.Record(ended{failed: true}, retry, supported)
	outcomes.Record(ended{skipped: true}, mixed, supported)
	outcomes.Record(ended{skipped: true}, portMatch, supported)
	outcomes.Record(ended{skipped: true}, ours, supported)
	report := &confv1.ConformanceReport{
		Implementation:    confv1.Implementation{Version: "v0.1.0"},
		Date:              "2026-01-02T03:04:05Z",
		GatewayAPIVersion: "v1.7.0",
		GatewayAPIChannel: "experimental",
		ProfileReports: []confv1.ProfileReport{
			{Name: "MESH-GRPC", Core: confv1.Status{Statistics: confv1.Statistics{Passed: 3}}},
			{
				Name: "GATEWAY-HTTP",
				Core: confv1.Status{Statistics: confv1.Statistics{Passed: 1, Skipped: 1}},
				Extended: &confv1.ExtendedStatus{
					Status:              confv1.Status{Statistics: confv1.Statistics{Failed: 1}},
					SupportedFeatures:   []string{"HTTPRouteRetryCodes"},
					UnsupportedFeatures: []string{"HTTPRouteCORS", "HTTPRouteDestinationPortMatching"},
				},
			},
		},
	}
	Sort(report)
	got := Render(report, all, &outcomes)
	want, err := os.ReadFile("testdata/summary.md")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant testdata/summary.md:\n%s", got, want)
	}
}

func TestComplaints(t *testing.T) {
	unclaimed := "PortMatch did not run: the GatewayClass does not claim all of Gateway, HTTPRouteDestinationPortMatching"
	for _, tc := range []struct {
		name    string
		channel string
		whole   bool
		mixed   ended
		want    []string
	}{
		{"all ran", "experimental", false, ended{}, nil},
		{"failures complain by themselves", "experimental", false, ended{failed: true}, nil},
		{"a skipped test", "experimental", false, ended{skipped: true}, []string{"Mixed was skipped; every test of a claimed feature must run"}},
		{"a whole run misses nothing", "experimental", true, ended{}, []string{unclaimed}},
		{"but what its channel lacks", "standard", true, ended{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var outcomes Outcomes
			outcomes.Record(ended{}, routing, supported)
			outcomes.Record(ended{}, retry, supported)
			outcomes.Record(tc.mixed, mixed, supported)
			outcomes.Record(ended{skipped: true}, portMatch, supported)
			outcomes.Record(ended{skipped: true}, ours, supported)
			if got := outcomes.Complaints(all, tc.channel, tc.whole); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A test that never recorded anything, like those after --fail-fast, counts as skipped.
func TestComplaintsOfNothing(t *testing.T) {
	var outcomes Outcomes
	if got := outcomes.Complaints(all[:1], "standard", false); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

// The standard channel has no fields for the features of the experimental one: nobody can claim them there.
func TestMissing(t *testing.T) {
	p := &confv1.ProfileReport{Name: "GATEWAY-HTTP", Extended: &confv1.ExtendedStatus{
		SupportedFeatures: []string{"HTTPRouteRetryCodes"}, UnsupportedFeatures: []string{"HTTPRouteCORS", "HTTPRouteDestinationPortMatching"},
	}}
	for channel, want := range map[string]string{
		"standard":     "- GATEWAY-HTTP: HTTPRouteCORS\n\nOnly in the experimental channel: HTTPRouteDestinationPortMatching.\n",
		"experimental": "- GATEWAY-HTTP: HTTPRouteCORS, HTTPRouteDestinationPortMatching\n",
	} {
		if got := unsupported(&confv1.ConformanceReport{GatewayAPIChannel: channel, ProfileReports: []confv1.ProfileReport{*p}}); got != want {
			t.Errorf("%s: %q", channel, got)
		}
	}
}

// The suite's own tests: how many there are, and which are in no profile. A new version of the suite changes this, and
// reports/README.md and the documentation with it.
func TestSuite(t *testing.T) {
	if got := len(tests.ConformanceTests); got != 170 {
		t.Errorf("the suite has %d tests", got)
	}
	var uncounted []string
	for _, test := range tests.ConformanceTests {
		if !counted(test) {
			uncounted = append(uncounted, test.ShortName)
		}
	}
	slices.Sort(uncounted)
	want := []string{
		"GRPCRouteNamedRule", "GRPCRouteRequestHeaderModifier", "HTTPRouteDisallowedKind", "MeshConsumerRoute", "MeshFrontend",
		"MeshFrontendHostname", "MeshHTTPRoute303Redirect", "MeshHTTPRoute307Redirect", "MeshHTTPRoute308Redirect", "MeshPorts",
	}
	if !slices.Equal(uncounted, want) {
		t.Errorf("in no profile: %v, want %v", uncounted, want)
	}
}
