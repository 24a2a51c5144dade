//go:build differential

package differential

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"sigs.k8s.io/yaml"
)

// verdict accepts a difference. All patterns are regular expressions that match the whole text; an absent one matches any.
type verdict struct {
	Reason  string `json:"reason"`
	Request string `json:"request"` // name of the request
	What    string `json:"what"`    // what differs
	Leno    string `json:"leno"`
	Envoy   string `json:"envoy"`

	patterns [4]*regexp.Regexp
	used     int
}

type verdicts struct{ list []*verdict }

func readVerdicts(t testing.TB, file string) *verdicts {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v := &verdicts{}
	if err := yaml.UnmarshalStrict(text, &v.list); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for i, one := range v.list {
		if one.Reason == "" || one.Request == "" || one.What == "" {
			t.Fatalf("%s: entry %d needs a reason, a request and a what", file, i)
		}
		for j, pattern := range []string{one.Request, one.What, one.Leno, one.Envoy} {
			if pattern == "" {
				pattern = "(?s).*"
			}
			if one.patterns[j], err = regexp.Compile(`\A(?:` + pattern + `)\z`); err != nil {
				t.Fatalf("%s: entry %d: %v", file, i, err)
			}
		}
	}
	return v
}

// accept finds the verdict on a difference; nil when there is none.
func (v *verdicts) accept(r *request, d difference) *verdict {
	for _, one := range v.list {
		matches := true
		for i, text := range []string{r.name, d.what, d.leno, d.envoy} {
			matches = matches && one.patterns[i].MatchString(text)
		}
		if matches {
			one.used++
			return one
		}
	}
	return nil
}

// rotten are verdicts on differences that are no more.
func (v *verdicts) rotten() []string {
	var out []string
	for i, one := range v.list {
		if one.used == 0 {
			out = append(out, fmt.Sprintf("entry %d (%s: %s) accepts nothing any more: remove it", i, one.Request, one.What))
		}
	}
	return out
}
