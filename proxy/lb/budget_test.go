package lb_test

import (
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/lb"
)

// retries asks for n of them and returns how many there may be.
func retries(b *lb.Budget, n int, now time.Time) int {
	allowed := 0
	for range n {
		if b.Retry(now) {
			allowed++
		}
	}
	return allowed
}

func TestBudget(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	tenth := config.RetryBudget{Percent: 10, Interval: 10 * time.Second, MinRetries: 1, MinInterval: time.Second}
	for _, tc := range []struct {
		name             string
		config           config.RetryBudget
		requests, asked  int
		after            time.Duration // after which they are asked for
		allowed, another int           // at once, and a second later again
	}{
		{"a tenth of all requests", tenth, 90, 100, 0, 10, 1},
		{"of those in the interval", tenth, 90, 100, 9 * time.Second, 10, 1},
		{"and of no others", tenth, 90, 100, 10 * time.Second, 1, 1},
		{"in any case some", tenth, 0, 100, 0, 1, 1},
		{"none but those", config.RetryBudget{Interval: time.Second, MinRetries: 3, MinInterval: time.Second}, 1000, 100, 0, 3, 3},
		{"in a longer time", config.RetryBudget{Interval: time.Second, MinRetries: 3, MinInterval: time.Minute}, 1000, 100, 0, 3, 0},
		{"all requests", config.RetryBudget{Percent: 100, Interval: time.Second, MinRetries: 1, MinInterval: time.Second}, 1, 1000, 0, 1000, 1000},
	} {
		b := lb.NewBudget(nil, &tc.config)
		for range tc.requests {
			b.Request(start)
		}
		if got := retries(b, tc.asked, start.Add(tc.after)); got != tc.allowed {
			t.Errorf("%s: %d of %d retries, want %d", tc.name, got, tc.asked, tc.allowed)
		}
		if got := retries(b, tc.asked, start.Add(tc.after+time.Second)); got != tc.another {
			t.Errorf("%s: a second later %d of %d retries, want %d", tc.name, got, tc.asked, tc.another)
		}
	}
}

// A budget that stays the same keeps what it has counted.
func TestBudgetStays(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := &config.RetryBudget{Percent: 0, Interval: time.Hour, MinRetries: 1, MinInterval: time.Hour}
	same, other := *c, *c
	other.MinRetries = 2
	first := lb.NewBudget(nil, c)
	if !first.Retry(now) || lb.NewBudget(first, &same).Retry(now) {
		t.Error("a budget that did not change has begun anew")
	}
	if !lb.NewBudget(first, &other).Retry(now) {
		t.Error("a budget that has changed is still the old one")
	}
	if lb.NewBudget(first, nil) != nil {
		t.Error("a budget that was taken away is still there")
	}
}
