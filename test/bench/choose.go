package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/report"
)

// choose finds the proxies that take part, and says loudly which cannot.
func choose(o options, found *report.Run) ([]*contender.Contender, error) {
	pattern, err := regexp.Compile("^(?:" + o.contenders + ")$")
	if err != nil {
		return nil, fmt.Errorf("contenders: %w", err)
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, err
	}
	leno, err := contender.Build(o.cache, "leno")
	if err != nil {
		return nil, err
	}
	relay, err := contender.Build(o.cache, "relay")
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
		if o.contenders != "" && !pattern.MatchString(find.name) {
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
		return nil, fmt.Errorf("no proxy is called %q", o.contenders)
	}
	return chosen, nil
}
