package summary

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// outcome is what became of one test.
type outcome string

const (
	passed     outcome = "passed"
	failed     outcome = "failed"
	skipped    outcome = "skipped"
	notClaimed outcome = "not run, needs a feature that is not claimed"
	notRun     outcome = "not run"
)

// Outcomes gathers what became of each test, those in no profile too, which no report shows. The zero value is ready; tests may record at
// the same time.
type Outcomes struct {
	mutex   sync.Mutex // guards results
	results map[string]outcome
}

// finished is the part of testing.T that Record reads.
type finished interface {
	Failed() bool
	Skipped() bool
}

// Record notes a test that has ended. supported are the features that the suite runs tests for.
func (o *Outcomes) Record(t finished, test suite.ConformanceTest, supported sets.Set[features.FeatureName]) {
	result := passed
	switch {
	case t.Failed():
		result = failed
	case !supported.HasAll(test.Features...):
		result = notClaimed
	case t.Skipped():
		result = skipped
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.results == nil {
		o.results = map[string]outcome{}
	}
	o.results[test.ShortName] = result
}

func (o *Outcomes) of(test suite.ConformanceTest) outcome {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if result, ok := o.results[test.ShortName]; ok {
		return result
	}
	return notRun
}

// Complaints says which tests did not run although they should have. Failed ones have complained already. In a whole run no test
// of the suite may be missing, except that the standard channel lacks what experimental features need.
func (o *Outcomes) Complaints(all []suite.ConformanceTest, channel string, whole bool) []string {
	var out []string
	for _, test := range all {
		switch o.of(test) {
		case passed, failed:
		case skipped, notRun:
			out = append(out, test.ShortName+" was skipped; every test of a claimed feature must run")
		case notClaimed:
			if whole && !own(test) && !experimentalOnly(test, channel) {
				out = append(out, fmt.Sprintf("%s did not run: the GatewayClass does not claim all of %s", test.ShortName, names(test.Features)))
			}
		default: // it ran
		}
	}
	return out
}

// experimentalOnly says that a test needs more than the standard channel has, and this is the standard channel.
func experimentalOnly(test suite.ConformanceTest, channel string) bool {
	return channel == features.FeatureChannelStandard && slices.ContainsFunc(test.Features, func(f features.FeatureName) bool {
		return features.GetFeature(f).Channel == features.FeatureChannelExperimental
	})
}

func names(list []features.FeatureName) string {
	var out []string
	for _, f := range list {
		out = append(out, string(f))
	}
	return strings.Join(out, ", ")
}
