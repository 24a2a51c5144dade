package graph

import (
	"slices"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"", "a.example.com", true},
		{"", "*.example.com", true},
		{"a.example.com", "", false},
		{"a.example.com", "a.example.com", true},
		{"a.example.com", "b.example.com", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com", true}, // any number of labels
		{"*.example.com", "example.com", false},
		{"*.example.com", "aexample.com", false},
		{"*.example.com", "*.example.com", true},
		{"*.example.com", "*.a.example.com", true},
		{"*.a.example.com", "*.example.com", false},
		{"*.example.com", "", false},
	} {
		if got := covers(c.a, c.b); got != c.want {
			t.Errorf("covers(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestIntersect(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"", "a.example.com", "a.example.com"},
		{"*.example.com", "a.example.com", "a.example.com"},
		{"a.example.com", "*.example.com", "a.example.com"},
		{"*.example.com", "*.a.example.com", "*.a.example.com"},
		{"*.example.com", "*.example.org", "none"},
		{"a.example.com", "b.example.com", "none"},
	} {
		got, ok := intersect(c.a, c.b)
		if !ok {
			got = "none"
		}
		if got != c.want {
			t.Errorf("intersect(%q, %q) = %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestCompareHosts(t *testing.T) {
	want := []string{"long.name.example.com", "a.example.com", "*.foo.example.com", "*.example.com", ""}
	got := []string{"", "*.example.com", "a.example.com", "*.foo.example.com", "long.name.example.com"}
	slices.SortFunc(got, compareHosts)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if host, ok := mostSpecific(want, "x.foo.example.com"); !ok || host != "*.foo.example.com" {
		t.Errorf("%q, %v", host, ok)
	}
}

// The names that count for precedence are the routes' own, not their part on the listener.
func TestNamesOn(t *testing.T) {
	r := &route{hostnames: []string{"*.com", "*.example.com", "other.org"}}
	got := r.namesOn("a.example.com")
	if len(got) != 1 || got["a.example.com"] != "*.example.com" {
		t.Errorf("%v", got)
	}
	if got := r.namesOn("a.example.net"); got != nil {
		t.Errorf("%v", got)
	}
	if got := (&route{}).namesOn("*.example.com"); len(got) != 1 || got["*.example.com"] != "" {
		t.Errorf("%v", got)
	}
}

// The same for TLS: of routes with one name on the listener, the one that names it more closely has it, else the older one.
func TestServers(t *testing.T) {
	on := func(listener string, hostnames ...string) *onListener {
		r := &route{hostnames: hostnames}
		return &onListener{route: r, rules: &ruleSet{split: &mesh.Split{}}, names: r.namesOn(listener)}
	}
	any, wildcard, exact, newer := on("a.example.com", "*.com"), on("a.example.com", "*.example.com"), on("a.example.com", "a.example.com"), on("a.example.com", "a.example.com")
	for _, c := range []struct {
		attached []*onListener
		want     *onListener
	}{
		{[]*onListener{any, wildcard}, wildcard},
		{[]*onListener{wildcard, any}, wildcard},
		{[]*onListener{any, wildcard, exact, newer}, exact},
	} {
		if got := servers(c.attached); len(got) != 1 || got[0].Name != "a.example.com" || got[0].Split != c.want.rules.split {
			t.Errorf("%v: not the split of %v", got, c.want.route.hostnames)
		}
	}
	got := servers([]*onListener{on("*.example.com", "*.com"), on("*.example.com", "a.example.com")})
	if len(got) != 2 || got[0].Name != "a.example.com" || got[1].Name != "*.example.com" {
		t.Errorf("%v", got)
	}
}
