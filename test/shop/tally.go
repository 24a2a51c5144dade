package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tally counts outcomes.
type tally struct {
	requests, failed int
	failures         map[string]int // by message
	versions         map[string]int // by "service version"
}

func newTally() *tally {
	return &tally{failures: map[string]int{}, versions: map[string]int{}}
}

// maxFailures bounds how many different messages are kept apart.
const maxFailures = 5

func (t *tally) add(o outcome, show string) {
	t.requests++
	if o.failure != "" {
		t.failed++
		if _, known := t.failures[o.failure]; !known && len(t.failures) >= maxFailures {
			o.failure = "other"
		}
		t.failures[o.failure]++
	}
	if o.answer != nil {
		t.addAnswer(o.answer, show)
	}
}

func (t *tally) addAnswer(a *Answer, show string) {
	if show == "" || show == a.Service {
		t.versions[a.Service+" "+a.Version]++
	}
	for _, u := range a.Upstreams {
		if u.Answer != nil {
			t.addAnswer(u.Answer, show)
		}
	}
}

// details is what the numbers are made of, sorted: "  catalog v1 18, catalog v2 2  FAILED: 503 ... 1".
func (t *tally) details() string {
	var out strings.Builder
	list := func(label string, counts map[string]int) {
		for i, key := range slices.Sorted(maps.Keys(counts)) {
			separator := ", "
			if i == 0 {
				separator = label
			}
			fmt.Fprintf(&out, "%s%s %d", separator, key, counts[key])
		}
	}
	list("  ", t.versions)
	list("  FAILED: ", t.failures)
	return out.String()
}
