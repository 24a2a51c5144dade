package route

import (
	"strings"
	"testing"
)

func TestServerNames(t *testing.T) {
	names := CompileServerNames([][]string{
		{"*.com"},
		{"www.example.com", "example.com"},
		{"*.example.com", "*.shop.example.com"},
		{"*.deep.shop.example.com", "www.example.com"},
	})
	for name, want := range map[string]int{
		"www.example.com":           1, // exact before wildcard; the first rule of two
		"WWW.Example.COM":           1,
		"example.com":               1,
		"a.example.com":             2,
		"a.b.example.com":           2, // one or more labels
		"a.shop.example.com":        2,
		"a.deep.shop.example.com":   3, // the longer suffix
		"a.b.deep.shop.example.com": 3,
		"deep.shop.example.com":     2, // the wildcard needs a label
		"badexample.com":            0,
		"com":                       None,
		".com":                      None, // an empty label is none
		"www.example.com.":          None, // RFC 6066: no dot at the end
		"":                          None,
		"example.org":               None,
		"www.example.\u212Aom":      None, // no letter of Unicode becomes one of ASCII
	} {
		if got := names.Match(name); got != want {
			t.Errorf("%q: rule %d, want %d", name, got, want)
		}
	}
	withRest := CompileServerNames([][]string{{"a.example"}, {}, {}})
	for name, want := range map[string]int{"a.example": 0, "b.example": 1, "": 1} {
		if got := withRest.Match(name); got != want {
			t.Errorf("%q: rule %d, want %d", name, got, want)
		}
	}
}

func TestServerNamesDoNotAllocate(t *testing.T) {
	names := CompileServerNames([][]string{{"www.example.com"}, {"*.example.com"}})
	if n := testing.AllocsPerRun(100, func() { names.Match("a.b.example.com") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// naiveName finds the rule by the words of the specification.
func naiveName(rules [][]string, name string) int {
	name = strings.Map(lower, name)
	best, rule := -1, None
	for i, names := range rules {
		for _, n := range names {
			suffix, wildcard := strings.CutPrefix(n, "*")
			length := 1000
			if wildcard {
				length = len(suffix)
			}
			matches := n == name && !wildcard || wildcard && len(name) > len(suffix) && strings.HasSuffix(name, suffix)
			if matches && name != "" && length > best {
				best, rule = length, i
			}
		}
	}
	for i, names := range rules {
		if rule == None && len(names) == 0 {
			return i
		}
	}
	return rule
}

func FuzzServerNames(f *testing.F) {
	f.Add("a.com *.b.com\n*.com\n", "x.b.com")
	f.Add("a.com\n*.a.com\n*.b.a.com", "b.a.com")
	f.Fuzz(func(t *testing.T, text, name string) {
		var rules [][]string
		for line := range strings.Lines(text) {
			var names []string
			for _, n := range strings.Fields(line) {
				host := strings.TrimPrefix(n, "*.")
				if host == "" || len(n) > 253 || strings.ContainsAny(host, "*") || strings.Contains("."+host+".", "..") || strings.Map(lower, n) != n {
					continue // package config lets no such name in
				}
				names = append(names, n)
			}
			rules = append(rules, names)
		}
		if got, want := CompileServerNames(rules).Match(name), naiveName(rules, name); got != want {
			t.Errorf("%q in %q: rule %d, want %d", name, rules, got, want)
		}
	})
}
