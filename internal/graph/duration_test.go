package graph

import (
	"testing"
	"time"
)

// The test vectors of GEP-2257.
func TestParseDuration(t *testing.T) {
	valid := map[string]time.Duration{
		"0h": 0, "0s": 0, "0h0m0s": 0, "1h": time.Hour, "30m": 30 * time.Minute, "10s": 10 * time.Second,
		"500ms": 500 * time.Millisecond, "2h30m": 150 * time.Minute, "150m": 150 * time.Minute, "7230s": 7230 * time.Second,
		"1h30m10s": 90*time.Minute + 10*time.Second, "10s30m1h": 90*time.Minute + 10*time.Second,
		"100ms200ms300ms": 600 * time.Millisecond,
	}
	for text, want := range valid {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "1d", "1h30m10s20ms50h", "999999h", "1.5h", "-15m", "1us", "1 h", "1h ", "+1s"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// FuzzParseDuration: what is accepted is a duration in Go's reading too, and not negative.
func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"1h30m", "500ms", "99999h99999h99999h99999h", "1.5s", "-1s", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDuration(s)
		if err != nil {
			return
		}
		if theirs, err := time.ParseDuration(s); err != nil || theirs != d || d < 0 {
			t.Errorf("%q: %v, Go reads %v, %v", s, d, theirs, err)
		}
	})
}
