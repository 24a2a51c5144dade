package redirect

import (
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

func TestLocation(t *testing.T) {
	full, prefix := "/full", "/prefix"
	for _, tc := range []struct {
		name      string
		redirect  config.Redirect
		authority string
		scheme    string
		port      uint16
		want      string
	}{
		{"nothing given", config.Redirect{}, "h", "http", 80, "http://h/old/x?q=1"},
		{"port of the listener is kept", config.Redirect{}, "h:8080", "http", 8080, "http://h:8080/old/x?q=1"},
		{"port of the listener, not of Host", config.Redirect{}, "h:9", "http", 80, "http://h/old/x?q=1"},
		{"hostname", config.Redirect{Hostname: "n"}, "h", "http", 80, "http://n/old/x?q=1"},
		{"scheme brings its port", config.Redirect{Scheme: "https"}, "h:8080", "http", 8080, "https://h/old/x?q=1"},
		{"scheme to http", config.Redirect{Scheme: "http"}, "h", "https", 443, "http://h/old/x?q=1"},
		{"port", config.Redirect{Port: 8443}, "h", "http", 80, "http://h:8443/old/x?q=1"},
		{"well-known port is left out", config.Redirect{Port: 80}, "h", "http", 8080, "http://h/old/x?q=1"},
		{"scheme and its port", config.Redirect{Scheme: "https", Port: 443}, "h", "http", 80, "https://h/old/x?q=1"},
		{"scheme and the other's port", config.Redirect{Scheme: "https", Port: 80}, "h", "http", 80, "https://h:80/old/x?q=1"},
		{"scheme and port", config.Redirect{Scheme: "http", Port: 8080}, "h", "https", 443, "http://h:8080/old/x?q=1"},
		{"IPv6", config.Redirect{Port: 81}, "[::1]:80", "http", 80, "http://[::1]:81/old/x?q=1"},
		{"full path", config.Redirect{Path: &config.PathChange{Full: &full}}, "h", "http", 80, "http://h/full?q=1"},
		{"prefix", config.Redirect{Path: &config.PathChange{Prefix: &prefix}}, "h", "http", 80, "http://h/prefix/x?q=1"},
	} {
		r := &msg.Request{Authority: []byte(tc.authority), Path: []byte("/old/x"), Query: []byte("q=1"), HasQuery: true}
		d := Compile(&tc.redirect, "/old")
		if got := string(d.AppendLocation(nil, r, tc.scheme, tc.port)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		if d.Status != 302 {
			t.Errorf("%s: default status %d", tc.name, d.Status)
		}
	}
}
