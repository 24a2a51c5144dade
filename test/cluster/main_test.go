package main

import (
	"slices"
	"testing"
)

func TestTakeName(t *testing.T) {
	for _, tc := range []struct {
		args   []string
		within int
		name   string
		rest   []string
	}{
		{[]string{"up"}, 1, "leno", []string{"up"}},
		{[]string{"--name", "a", "up"}, 1, "a", []string{"up"}},
		{[]string{"--name=a", "up"}, 1, "a", []string{"up"}},
		{[]string{"image", "--name", "proxy:1"}, 1, "leno", []string{"image", "--name", "proxy:1"}},
		{[]string{"--nodes", "2", "--name", "a"}, 4, "a", []string{"--nodes", "2"}},
	} {
		name, rest := takeName("leno", tc.args, tc.within)
		if name != tc.name || !slices.Equal(rest, tc.rest) {
			t.Errorf("%q: %s %q", tc.args, name, rest)
		}
	}
}
