// Package poll is for tests of what happens at a time that nothing tells.
package poll

import (
	"testing"
	"time"
)

// Until looks until check holds, and fails the test if it does not within limit.
func Until(t testing.TB, limit time.Duration, what string, check func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for !check() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %s", what, limit)
		case <-ticks.C:
		}
	}
}

// Answer asks until the answer is "", and fails the test with the last one if it is not within limit.
func Answer(t testing.TB, limit time.Duration, what string, ask func() string) {
	t.Helper()
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	deadline := time.After(limit)
	answer := ask()
	for answer != "" {
		select {
		case <-deadline:
			t.Fatalf("%s: %s", what, answer)
		case <-ticks.C:
			answer = ask()
		}
	}
}
