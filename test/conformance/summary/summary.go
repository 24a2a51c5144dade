// Package summary turns a run of the conformance suite into a table for people, and finds the tests that did not run although they should.
package summary

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// known are the suite's profiles, in the order in which people name them.
var known = []suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfile,
	suite.GatewayGRPCConformanceProfile,
	suite.GatewayTLSConformanceProfile,
	suite.GatewayTCPConformanceProfile,
	suite.GatewayUDPConformanceProfile,
	suite.MeshHTTPConformanceProfile,
	suite.MeshGRPCConformanceProfile,
}

// ProfileNames lists all profiles.
func ProfileNames() []suite.ConformanceProfileName {
	var out []suite.ConformanceProfileName
	for _, p := range known {
		out = append(out, p.Name)
	}
	return out
}

// Profile finds a profile by its name.
func Profile(name suite.ConformanceProfileName) (suite.ConformanceProfile, bool) {
	i := slices.IndexFunc(known, func(p suite.ConformanceProfile) bool { return p.Name == name })
	if i < 0 {
		return suite.ConformanceProfile{}, false
	}
	return known[i], true
}

// Sort brings the profiles of a report into their order; the suite lists them in the order of a map.
func Sort(report *confv1.ConformanceReport) {
	slices.SortFunc(report.ProfileReports, func(a, b confv1.ProfileReport) int {
		return cmp.Compare(rank(a.Name), rank(b.Name))
	})
}

func rank(profile string) int {
	return slices.IndexFunc(known, func(p suite.ConformanceProfile) bool { return string(p.Name) == profile })
}

// counted says whether a test belongs to some profile: all its features are in the profile's core or extended ones.
func counted(test suite.ConformanceTest) bool {
	return slices.ContainsFunc(known, func(p suite.ConformanceProfile) bool {
		return !slices.ContainsFunc(test.Features, func(f features.FeatureName) bool {
			return !p.CoreFeatures.Has(f) && !p.ExtendedFeatures.Has(f)
		})
	})
}

// own says that a test is none of the suite's: it needs a feature that the suite does not know.
func own(test suite.ConformanceTest) bool {
	return slices.ContainsFunc(test.Features, func(f features.FeatureName) bool { return features.GetFeature(f).Name == "" })
}

// Render writes the summary in Markdown. The report must be sorted.
func Render(report *confv1.ConformanceReport, all []suite.ConformanceTest, outcomes *Outcomes) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Gateway API %s, %s channel\n\n", report.GatewayAPIVersion, report.GatewayAPIChannel)
	fmt.Fprintf(&b, "Leno %s, %s.\n\n", report.Version, report.Date)
	b.WriteString("| profile | core tests | extended tests | extended features |\n|---|---|---|---|\n")
	for i := range report.ProfileReports {
		p := &report.ProfileReports[i]
		extended, claims := "none", "none"
		if p.Extended != nil {
			extended = counts(p.Extended.Status)
			left, _ := missing(report, p)
			claims = fmt.Sprintf("%d of %d", len(p.Extended.SupportedFeatures), len(p.Extended.SupportedFeatures)+len(left))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.Name, counts(p.Core), extended, claims)
	}
	b.WriteString("\n## Not supported\n\n")
	b.WriteString(unsupported(report))
	table := func(title string, in func(suite.ConformanceTest) bool) {
		fmt.Fprintf(&b, "\n## %s\n\n| test | result |\n|---|---|\n", title)
		for _, test := range all {
			if in(test) {
				fmt.Fprintf(&b, "| %s | %s |\n", test.ShortName, outcomes.of(test))
			}
		}
	}
	table("Tests that belong to no profile", func(test suite.ConformanceTest) bool { return !counted(test) && !own(test) })
	table("Provisional tests", func(test suite.ConformanceTest) bool { return test.Provisional })
	table("Tests of our own, in package beyond", own)
	b.WriteString("\n## Failed or skipped\n\n")
	b.WriteString(troubles(all, outcomes))
	return b.String()
}

func counts(s confv1.Status) string {
	out := fmt.Sprintf("%d passed", s.Passed)
	if s.Failed > 0 {
		out += fmt.Sprintf(", **%d failed**", s.Failed)
	}
	if s.Skipped > 0 {
		out += fmt.Sprintf(", **%d skipped**", s.Skipped)
	}
	return out
}

// missing are the features that a profile does not claim and could: the standard channel has no fields for the experimental ones.
func missing(report *confv1.ConformanceReport, p *confv1.ProfileReport) (out, absent []string) {
	for _, name := range p.Extended.UnsupportedFeatures {
		if f := features.GetFeature(features.FeatureName(name)); report.GatewayAPIChannel == "standard" && f.Channel == features.FeatureChannelExperimental {
			absent = append(absent, name)
			continue
		}
		out = append(out, name)
	}
	return out, absent
}

func unsupported(report *confv1.ConformanceReport) string {
	var b strings.Builder
	var elsewhere []string
	for i := range report.ProfileReports {
		p := &report.ProfileReports[i]
		if p.Extended == nil {
			continue
		}
		left, absent := missing(report, p)
		elsewhere = append(elsewhere, absent...)
		if len(left) > 0 {
			fmt.Fprintf(&b, "- %s: %s\n", p.Name, strings.Join(left, ", "))
		}
	}
	if b.Len() == 0 {
		b.WriteString("Nothing: all extended features of these profiles are claimed.\n")
	}
	if slices.Sort(elsewhere); len(elsewhere) > 0 {
		fmt.Fprintf(&b, "\nOnly in the experimental channel: %s.\n", strings.Join(slices.Compact(elsewhere), ", "))
	}
	return b.String()
}

func troubles(all []suite.ConformanceTest, outcomes *Outcomes) string {
	var b strings.Builder
	for _, test := range all {
		if o := outcomes.of(test); o == failed || o == skipped {
			fmt.Fprintf(&b, "- %s %s\n", test.ShortName, o)
		}
	}
	if b.Len() == 0 {
		return "None.\n"
	}
	return b.String()
}
