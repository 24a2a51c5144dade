package proc

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	for text, want := range map[string][2]int{
		"12 (nginx) S 1 11 11 0 -1":                 {12, 11},
		"7 (odd) name ( x) R 3 7 7 0 -1 4194304 88": {7, 7},
	} {
		pid, pgrp, err := parseStat(text)
		if err != nil || pid != want[0] || pgrp != want[1] {
			t.Errorf("%q: %d, %d, %v, want %v", text, pid, pgrp, err, want)
		}
	}
	for _, bad := range []string{"", "12 nginx S 1 11", "x (nginx) S 1 11 11", "12 (nginx) S"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseRSS(t *testing.T) {
	got, err := parseRSS("Name:\tx\nVmHWM:\t  9000 kB\nVmRSS:\t    5124 kB\nRssAnon:\t 1 kB\n")
	if err != nil || got != 5124<<10 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"Name:\tzombie\n", "VmRSS:\tmuch kB\n"} {
		if _, err := parseRSS(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// Our own CPU time must grow by about what a busy loop takes, and by no more than the wall clock says times the cores.
func TestCPUCountsWork(t *testing.T) {
	self := &Process{Name: "self", pids: []int{os.Getpid()}}
	before, err := CPU(self)
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
	}
	after, err := CPU(self)
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("no CPU time was counted for work: %v, %v", before, after)
	}
	if rss, err := RSS(self); err != nil || rss < 1<<20 {
		t.Errorf("RSS %d, %v", rss, err)
	}
}
