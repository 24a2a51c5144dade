package route

import (
	"fmt"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

// hosted is a table with one entry for each host, which matches whatever is asked of it, or only /only.
func hosted(names ...string) *config.RouteTable {
	t := &config.RouteTable{Name: "t"}
	for _, name := range names {
		t.Hosts = append(t.Hosts, config.Host{Names: []string{name}, Entries: 2})
		t.Entries = append(t.Entries,
			config.Entry{Match: config.Match{PathKind: config.PathExact, Path: "/only"}, Action: &config.Action{Origin: config.Origin{Name: name + " only"}}},
			config.Entry{Action: &config.Action{Origin: config.Origin{Name: name}}})
	}
	return t
}

func TestHosts(t *testing.T) {
	table := hosted("*.example.com", "www.example.com", "*", "*.a.example.com", "example.com", "[::1]")
	compiled, err := Compile(table)
	if err != nil {
		t.Fatal(err)
	}
	for authority, want := range map[string]string{
		"www.example.com":      "www.example.com",
		"WWW.Example.COM":      "www.example.com",
		"www.example.com:8080": "www.example.com",
		"www.example.com:":     "www.example.com",
		"b.example.com":        "*.example.com",
		"c.b.example.com":      "*.example.com",
		"a.example.com":        "*.example.com", // a wildcard stands for at least one label
		"b.a.example.com":      "*.a.example.com",
		"c.b.a.example.com:1":  "*.a.example.com",
		"example.com":          "example.com",
		".example.com":         "*",
		"example.org":          "*",
		"":                     "*",
		"[::1]":                "[::1]",
		"[::1]:80":             "[::1]",
		"[::2]:80":             "*",
	} {
		r := request("GET /")
		r.Authority = []byte(authority)
		got := compiled.Match(r)
		if got == None || table.Entries[got].Action.Origin.Name != want {
			t.Errorf("%q: entry %d, want that of %s", authority, got, want)
		}
		if e := compiled.Explain(r); e.Chosen != got || e.Host != want || len(e.Steps) != 2 {
			t.Errorf("%q: explained as %+v", authority, e)
		}
		r = request("GET /only")
		r.Authority = []byte(authority)
		if first := compiled.Match(r); first != got-1 {
			t.Errorf("%q: entry %d for /only, want %d", authority, first, got-1)
		}
	}
}

// TestHostsWithoutAny: what no host takes has no entry.
func TestHostsWithoutAny(t *testing.T) {
	compiled, err := Compile(hosted("www.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	for _, authority := range []string{"", "example.com", "a.www.example.com", fmt.Sprintf("%0300d.www.example.com", 1)} {
		r := request("GET /")
		r.Authority = []byte(authority)
		if got := compiled.Match(r); got != None {
			t.Errorf("%q: entry %d", authority, got)
		}
		if e := compiled.Explain(r); e.Chosen != None || len(e.Steps) != 0 {
			t.Errorf("%q: explained as %+v", authority, e)
		}
	}
}

// TestLongHosts: a host with many entries has an index, and finds the same.
func TestLongHosts(t *testing.T) {
	table := &config.RouteTable{Name: "t"}
	for h := range 3 {
		table.Hosts = append(table.Hosts, config.Host{Names: []string{fmt.Sprintf("h%d.example.com", h)}, Entries: 2 * indexFrom})
		for i := range 2 * indexFrom {
			table.Entries = append(table.Entries, config.Entry{Match: config.Match{PathKind: config.PathPrefix, Path: fmt.Sprintf("/%d", i)}})
		}
	}
	compiled, err := Compile(table)
	if err != nil {
		t.Fatal(err)
	}
	for h := range 3 {
		for i := range 2 * indexFrom {
			r := request(fmt.Sprintf("GET /%d/x", i))
			r.Authority = fmt.Appendf(nil, "h%d.example.com:80", h)
			if got, want := compiled.Match(r), 2*indexFrom*h+i; got != want {
				t.Errorf("host %d, path %d: entry %d, want %d", h, i, got, want)
			}
		}
		r := request("GET /none")
		r.Authority = fmt.Appendf(nil, "h%d.example.com", h)
		if got := compiled.Match(r); got != None {
			t.Errorf("entry %d for a path that nobody has", got)
		}
	}
}

func TestHostsDoNotAllocate(t *testing.T) {
	compiled, err := Compile(hosted("*.example.com", "www.example.com", "*"))
	if err != nil {
		t.Fatal(err)
	}
	r := request("GET /")
	for _, authority := range []string{"WWW.example.com:80", "a.b.Example.com", "example.org"} {
		r.Authority = []byte(authority)
		if n := testing.AllocsPerRun(100, func() { compiled.Match(r) }); n != 0 {
			t.Errorf("%s: %v allocations", authority, n)
		}
	}
}

func BenchmarkHosts(b *testing.B) {
	compiled, err := Compile(hosted("*.example.com", "www.example.com", "*"))
	if err != nil {
		b.Fatal(err)
	}
	r := request("GET /")
	r.Authority = []byte("a.b.example.com:8080")
	for b.Loop() {
		compiled.Match(r)
	}
}
