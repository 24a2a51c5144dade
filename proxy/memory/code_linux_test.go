package memory

import (
	"os"
	"strings"
	"testing"
)

func TestUnmapCode(t *testing.T) {
	before := fileBacked(t)
	unmapCode()
	if after := fileBacked(t); after >= before {
		t.Errorf("resident pages of files: %d KiB, then %d", before, after)
	}
}

// fileBacked is the resident memory that belongs to files, in KiB.
func fileBacked(t *testing.T) (kib int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "RssFile:")
	if !found {
		t.Fatal("no RssFile")
	}
	for _, c := range strings.TrimSpace(rest) {
		if c < '0' || c > '9' {
			break
		}
		kib = 10*kib + int(c-'0')
	}
	return kib
}

func TestCodeRange(t *testing.T) {
	for line, want := range map[string]bool{
		"00400000-00a00000 r-xp 00000000 08:01 42                         /leno-proxy":   true,
		"00a00000-00f00000 r--p 00600000 08:01 42                         /leno-proxy":   true,
		"00f00000-00f90000 rw-p 00b00000 08:01 42                         /leno-proxy":   false,
		"7f0000000000-7f0000100000 r-xp 00000000 08:01 43                 /lib/other.so": false,
		"c000000000-c000400000 rw-p 00000000 00:00 0":                                    false,
		"7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0                  [vdso]":        false,
		"x-y r-xp 0 0 0 /leno-proxy":                                                     false,
	} {
		start, end, ok := codeRange(line, "/leno-proxy")
		if ok != want || ok && start >= end {
			t.Errorf("%q: %x-%x, %v", line, start, end, ok)
		}
	}
}
