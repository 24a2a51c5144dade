package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"syscall"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/report"
	"github.com/leno-mesh/leno/test/bench/scenario"
)

// memoryName is how -scenarios calls the measurement of memory.
const memoryName = "memory"

// selection is what runs.
type selection struct {
	scenarios []scenario.Scenario
	memory    bool
}

// choose finds the scenarios whose whole name an expression matches; an empty one: all.
func choose(expression string) (selection, error) {
	pattern, err := whole(expression)
	if err != nil {
		return selection{}, fmt.Errorf("-scenarios: %w", err)
	}
	s := selection{memory: pattern.MatchString(memoryName)}
	for _, one := range scenario.All() {
		if pattern.MatchString(one.Name) {
			s.scenarios = append(s.scenarios, one)
		}
	}
	if len(s.scenarios) == 0 && !s.memory {
		return s, fmt.Errorf("no scenario is called %q; -list shows all", expression)
	}
	return s, nil
}

// whole makes an expression that must match all of a name.
func whole(expression string) (*regexp.Regexp, error) {
	if expression == "" {
		expression = ".*"
	}
	return regexp.Compile("^(?:" + expression + ")$")
}

// contenders finds the proxies that take part, and says loudly which cannot. Ours are built into dir: other runs, of other
// sources, may share the cache.
func contenders(o options, dir string, found *report.Run) ([]*contender.Contender, error) {
	pattern, err := whole(o.contenders)
	if err != nil {
		return nil, fmt.Errorf("-contenders: %w", err)
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, err
	}
	leno, err := contender.Build(dir, "leno")
	if err != nil {
		return nil, err
	}
	relay, err := contender.Build(dir, "relay")
	if err != nil {
		return nil, err
	}
	var chosen []*contender.Contender
	for _, find := range []struct {
		name string
		make func() *contender.Contender
	}{
		{"leno", func() *contender.Contender { return contender.Leno(leno, found.Commit) }},
		{"nginx", contender.Nginx},
		{"haproxy", contender.HAProxy},
		{"envoy", func() *contender.Contender { return contender.Envoy(o.cache) }},
		{"relay", func() *contender.Contender { return contender.Relay(relay, runtime.Version()) }},
	} {
		if !pattern.MatchString(find.name) {
			continue
		}
		c := find.make()
		program := report.Program{Name: c.Name, Version: c.Version}
		if c.Missing != nil {
			program.Missing = c.Missing.Error()
			fmt.Fprintf(os.Stderr, "\n*** %s takes no part: %v ***\n\n", c.Name, c.Missing)
		} else {
			chosen = append(chosen, c)
		}
		found.Programs = append(found.Programs, program)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no proxy is called %q, or it is not here", o.contenders)
	}
	return chosen, nil
}

// raiseFiles lets this process and those it starts open as many files as the system allows. Setting it by hand matters:
// the runtime raises the limit for itself only.
func raiseFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	return nil
}
