package forward

import (
	"testing"

	"github.com/leno-mesh/leno/proxy/msg"
)

func TestNormal(t *testing.T) {
	for path, want := range map[string]string{
		"":                     "",
		"*":                    "*",
		"/":                    "/",
		"/a/b":                 "/a/b",
		"/.":                   "/",
		"/..":                  "/",
		"/../..":               "/",
		"/a/./b":               "/a/b",
		"/a/../b":              "/b",
		"/a/b/..":              "/a/",
		"/a/b/.":               "/a/b/",
		"/a/b/../":             "/a/",
		"/../a":                "/a",
		"/a/%2e%2E/b":          "/b",
		"/a/.%2e/b":            "/b",
		"/a/%2e/b":             "/a/b",
		"/a//../b":             "/a/b",
		"/a//b":                "/a//b",
		"/.well-known/x":       "/.well-known/x",
		"/pkg.Service/Method":  "/pkg.Service/Method",
		"/a/.../b":             "/a/.../b",
		"/a/..b":               "/a/..b",
		"/a%2f..%2fb":          "/a%2f..%2fb", // an encoded slash is none
		"/a%20b/../c%2":        "/c%2",
		"/public/../admin/x/.": "/admin/x/",
	} {
		if got := string(normal([]byte(path))); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
	}
}

// TestMarkDoesNotAllocate for requests that come straight from their client.
func TestMarkDoesNotAllocate(t *testing.T) {
	e := &Edge{Client: []byte("192.0.2.1"), TLS: true}
	r := &msg.Request{Fields: make(msg.Fields, 0, 8), Path: []byte("/a/.hidden/b")}
	if n := testing.AllocsPerRun(100, func() {
		r.Fields = r.Fields[:0]
		e.mark(r)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzNormal: what comes out is normal, no longer than what went in, and begins with a slash where that did.
func FuzzNormal(f *testing.F) {
	for _, seed := range []string{"/a/../b", "/%2e%2e/%2E", "/..", "//", "/a/./../..//"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		got := normal(path)
		if len(got) > len(path) || len(path) > 0 && got[0] != path[0] {
			t.Fatalf("%q becomes %q", path, got)
		}
		if len(got) > 0 && got[0] == '/' && dotted(got) {
			t.Fatalf("%q becomes %q, which is not normal", path, got)
		}
	})
}
