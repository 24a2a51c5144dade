package cors_test

import (
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/layer/cors"
	"github.com/leno-mesh/leno/proxy/msg"
)

func request(method string, fields ...string) *msg.Request {
	r := &msg.Request{Method: []byte(method)}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Fields.Add([]byte(name), []byte(value))
	}
	return r
}

func shown(fields msg.Fields) string {
	var out []string
	for _, f := range fields {
		out = append(out, strings.TrimPrefix(string(f.Name), "access-control-")+"="+string(f.Value))
	}
	return strings.Join(out, "; ")
}

func TestPolicy(t *testing.T) {
	some := &config.CORS{
		Origins: []string{"https://www.foo.com", "https://*.bar.com", "http://*:8080"}, Methods: []string{"GET", "OPTIONS"}, Headers: []string{"x-1", "x-2"},
		Expose: []string{"x-3"}, Credentials: true, MaxAge: 3600,
	}
	all := &config.CORS{Origins: []string{"*"}, Methods: []string{"*"}, Headers: []string{"*"}, Expose: []string{"*"}, MaxAge: 5}
	allWith := &config.CORS{Origins: []string{"*"}, Methods: []string{"*"}, Headers: []string{"*"}, Expose: []string{"*"}, Credentials: true, MaxAge: 5}
	const asks, headers = "access-control-request-method: PUT", "access-control-request-headers: x-a"
	for _, c := range []struct {
		name   string
		config *config.CORS
		req    *msg.Request
		want   string // "-": nothing is added
	}{
		{"no browser", some, request("GET"), "-"},
		{"allowed", some, request("GET", "Origin: https://www.foo.com"), "allow-origin=https://www.foo.com; vary=Origin; allow-credentials=true; expose-headers=x-3"},
		{"with the scheme's port", some, request("GET", "origin: https://www.foo.com:443"), "allow-origin=https://www.foo.com:443; vary=Origin; allow-credentials=true; expose-headers=x-3"},
		{"in capitals", some, request("GET", "origin: https://WWW.foo.com"), "allow-origin=https://WWW.foo.com; vary=Origin; allow-credentials=true; expose-headers=x-3"},
		{"any number of labels", some, request("GET", "origin: https://a.b.bar.com"), "allow-origin=https://a.b.bar.com; vary=Origin; allow-credentials=true; expose-headers=x-3"},
		{"any host with a port", some, request("GET", "origin: http://x.org:8080"), "allow-origin=http://x.org:8080; vary=Origin; allow-credentials=true; expose-headers=x-3"},
		{"not the wildcard's own domain", some, request("GET", "origin: https://bar.com"), "-"},
		{"other scheme", some, request("GET", "origin: http://www.foo.com"), "-"},
		{"other port", some, request("GET", "origin: https://www.foo.com:444"), "-"},
		{"ends alike", some, request("GET", "origin: https://xbar.com"), "-"},
		{"null", some, request("GET", "origin: null"), "-"},
		{"OPTIONS that asks nothing", some, request("OPTIONS", "origin: https://x.org"), "-"},
		{"preflight", some, request("OPTIONS", "origin: https://www.foo.com", asks, headers),
			"preflight: allow-origin=https://www.foo.com; vary=Origin; allow-credentials=true; expose-headers=x-3; allow-methods=GET, OPTIONS; allow-headers=x-1, x-2; max-age=3600"},
		{"preflight, not allowed", some, request("OPTIONS", "origin: https://x.org", asks), "preflight: "},
		{"all", all, request("GET", "origin: https://x.org"), "allow-origin=*; expose-headers=*"},
		{"all, preflight", all, request("OPTIONS", "origin: https://x.org", asks, headers), "preflight: allow-origin=*; expose-headers=*; allow-methods=PUT; allow-headers=x-a; max-age=5"},
		{"all with credentials", allWith, request("OPTIONS", "origin: https://x.org", asks), "preflight: allow-origin=https://x.org; vary=Origin; allow-credentials=true; allow-methods=PUT; max-age=5"},
	} {
		a, preflight := cors.Compile(c.config).Check(c.req)
		got := "-"
		if a != nil {
			var r msg.Response
			if preflight {
				a.Preflight(&r)
				got = "preflight: " + shown(r.Fields)
			} else {
				a.Response(&r)
				got = shown(r.Fields)
			}
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	if cors.Compile(nil) != nil {
		t.Error("something is made of nothing")
	}
}
