package smuggling

import (
	"slices"
	"strings"
	"testing"
)

// TestTables: the tables are large enough, name each case once and its section, and say something of each.
func TestTables(t *testing.T) {
	seen := map[string]bool{}
	name := func(rfc, name string) {
		if seen[name] || !strings.Contains(rfc, " ") {
			t.Errorf("case %q of RFC %q: names are unique and sections are named", name, rfc)
		}
		seen[name] = true
	}
	for _, c := range Cases() {
		name(c.RFC, c.Name)
		if c.Status == 0 && c.Says != "" || c.Status != 0 && c.Says == "" {
			t.Errorf("%s: a refusal has a status and words", c.Name)
		}
		for _, r := range c.Reaches {
			if r.Target == Hidden {
				t.Errorf("%s: expects the hidden request to arrive", c.Name)
			}
		}
	}
	if n := len(seen); n < 60 {
		t.Errorf("%d HTTP/1.1 cases", n)
	}
	clear(seen)
	for _, s := range Downgrades() {
		name(s.RFC, s.Name)
		if s.Reaches != nil && (s.Reaches.Body != s.Body || !slices.Contains(s.Fields, Field{":path", s.Reaches.Target})) {
			t.Errorf("%s: what reaches the backend is not what was sent", s.Name)
		}
	}
	if n := len(seen); n < 50 {
		t.Errorf("%d HTTP/2 cases", n)
	}
}
