package main

import (
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/bench/scenario"
)

func TestParseBusy(t *testing.T) {
	got, err := parseBusy("cpu  100 2 30 4000 500 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
	if want := 153 * tick; err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu a 2 3 4 5 6 7 8"} {
		if _, err := parseBusy(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestOthers(t *testing.T) {
	before := usage{at: time.Unix(0, 0), busy: 5 * time.Second, own: time.Second}
	after := usage{at: time.Unix(10, 0), busy: 25 * time.Second, own: 21 * time.Second}
	if got := after.others(before); got != 0 {
		t.Errorf("all was ours, others have %v", got)
	}
	after.own = time.Second
	if got := after.others(before); got <= 0 {
		t.Errorf("nothing was ours, others have %v", got)
	}
}

func TestModel(t *testing.T) {
	if got := model("processor\t: 0\nmodel name\t: A CPU: fast\n"); got != "A CPU: fast" {
		t.Errorf("%q", got)
	}
	if got := model("processor\t: 0\n"); got == "" {
		t.Error("a CPU without a name has no name at all")
	}
}

func TestChoose(t *testing.T) {
	everything, err := choose("")
	if err != nil || len(everything.scenarios) != len(scenario.All()) || !everything.memory {
		t.Errorf("%d scenarios, %v", len(everything.scenarios), err)
	}
	seen := map[string]bool{}
	for _, s := range everything.scenarios {
		if seen[s.Name] {
			t.Errorf("two scenarios are called %s", s.Name)
		}
		seen[s.Name] = true
	}
	one, err := choose("http1/32/1KiB")
	if err != nil || len(one.scenarios) != 1 || one.memory {
		t.Errorf("%+v, %v", one, err)
	}
	for _, bad := range []string{"http1", "("} {
		if _, err := choose(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
