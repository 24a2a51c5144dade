package rewrite

import (
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// The table of the Gateway API (HTTPPathModifier.replacePrefixMatch), and what it leaves open.
var prefixCases = []struct{ path, matched, with, want string }{
	{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
	{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
	{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
	{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
	{"/foo", "/foo", "/xyz", "/xyz"},
	{"/foo/", "/foo", "/xyz", "/xyz/"},
	{"/foo/bar", "/foo", "", "/bar"},
	{"/foo/", "/foo", "", "/"},
	{"/foo", "/foo", "", "/"},
	{"/foo/", "/foo", "/", "/"},
	{"/foo", "/foo", "/", "/"},
	{"/foo", "/", "/xyz", "/xyz/foo"},
	{"/", "/", "/xyz", "/xyz/"},
	{"/foo//bar", "/foo", "/", "/bar"},
	{"/foo//bar", "/foo", "/xyz", "/xyz//bar"},
	{"//bar", "/", "/xyz", "/xyz//bar"},
	{"//bar", "/", "/", "/bar"},
	{"/foo/a//b", "/foo", "/xyz", "/xyz/a//b"},
}

func TestPrefix(t *testing.T) {
	for _, tc := range prefixCases {
		p := CompilePath(&config.PathChange{Prefix: &tc.with}, tc.matched)
		if got := string(p.Append(nil, []byte(tc.path))); got != tc.want {
			t.Errorf("%s, %s -> %q: got %q, want %q", tc.path, tc.matched, tc.with, got, tc.want)
		}
	}
}

func TestRequest(t *testing.T) {
	full := "/new"
	empty := ""
	for _, tc := range []struct {
		change config.Rewrite
		want   string
	}{
		{config.Rewrite{}, "h/old/x"},
		{config.Rewrite{Hostname: "n"}, "n/old/x"},
		{config.Rewrite{Path: &config.PathChange{Full: &full}}, "h/new"},
		{config.Rewrite{Path: &config.PathChange{Full: &empty}}, "h/"},
		{config.Rewrite{Path: &config.PathChange{Prefix: &full}}, "h/new/x"},
	} {
		r := msg.Request{Authority: []byte("h"), Path: []byte("/old/x")}
		Compile(&tc.change, "/old").Request(&r)
		if got := string(r.Authority) + string(r.Path); got != tc.want {
			t.Errorf("%+v: got %s, want %s", tc.change, got, tc.want)
		}
	}
	star := msg.Request{Path: []byte("*")}
	if Compile(&config.Rewrite{Path: &config.PathChange{Full: &full}}, "").Request(&star); string(star.Path) != "*" {
		t.Errorf("OPTIONS * became %s", star.Path)
	}
}

func FuzzPrefix(f *testing.F) {
	for _, tc := range prefixCases {
		f.Add(tc.path, tc.matched, tc.with)
	}
	f.Fuzz(func(t *testing.T, path, matched, with string) {
		if !strings.HasPrefix(path, "/") || strings.Contains(with, "//") {
			return
		}
		got := string(CompilePath(&config.PathChange{Prefix: &with}, matched).Append(nil, []byte(path)))
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Errorf("%q, %q -> %q: got %q", path, matched, with, got)
		}
	})
}
