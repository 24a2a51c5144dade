//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// result is the last line of a load run.
type result struct {
	requests, failed int
	versions         map[string]int // by "service version"
	output           string
}

var (
	totalLine = regexp.MustCompile(`(?m)^total (\d+) requests, (\d+) failed(.*)$`)
	count     = regexp.MustCompile(`([\w-]+ v\d+) (\d+)`)
)

func parse(output string) (result, error) {
	found := totalLine.FindStringSubmatch(output)
	if found == nil {
		return result{}, fmt.Errorf("no total in %q", output)
	}
	r := result{versions: map[string]int{}, output: output}
	r.requests, _ = strconv.Atoi(found[1]) // digits, as matched
	r.failed, _ = strconv.Atoi(found[2])
	for _, version := range count.FindAllStringSubmatch(found[3], -1) {
		r.versions[version[1]], _ = strconv.Atoi(version[2])
	}
	return r, nil
}

// load runs the load generator in a pod: "leno-shop load" with these flags.
func load(ctx context.Context, namespace, pod string, flags ...string) (result, error) {
	output, err := run(ctx, namespace, pod, "shop", append([]string{"/leno-shop", "load"}, flags...)...)
	r, parseErr := parse(output)
	if parseErr != nil {
		return r, errors.Join(parseErr, err)
	}
	return r, nil // failed requests are in the result
}

// background starts a load and returns a function that waits for its result.
func background(t *testing.T, namespace, pod string, flags ...string) func() result {
	t.Helper()
	type outcome struct {
		result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := load(t.Context(), namespace, pod, flags...)
		done <- outcome{r, err}
	}()
	return func() result {
		t.Helper()
		o := <-done
		if o.err != nil {
			t.Fatal(o.err)
		}
		return o.result
	}
}

// lossless fails the test if one request failed, or if there were suspiciously few.
func lossless(t *testing.T, r result, atLeast int) {
	t.Helper()
	if r.failed > 0 || r.requests < atLeast {
		lines := strings.Split(strings.TrimSpace(r.output), "\n")
		t.Errorf("%d of %d requests failed, want 0 of at least %d:\n%s", r.failed, r.requests, atLeast, strings.Join(lines, "\n"))
	}
}
