package xds_test

import (
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
)

// matchCases and ruleCases tell, for parts of a route in the mesh, what our proxy makes of them after the way through Envoy's API.
var matchCases = map[string]struct {
	from mesh.Match
	want config.Match
}{
	"nothing":                    {mesh.Match{}, config.Match{}},
	"prefix /":                   {mesh.Match{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/"}}, config.Match{}},
	"prefix":                     {mesh.Match{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/a"}}, config.Match{PathKind: config.PathPrefix, Path: "/a"}},
	"prefix with trailing slash": {mesh.Match{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/a/b/"}}, config.Match{PathKind: config.PathPrefix, Path: "/a/b"}},
	"exact":                      {mesh.Match{Path: mesh.PathMatch{Kind: mesh.PathExact, Value: "/a/"}}, config.Match{PathKind: config.PathExact, Path: "/a/"}},
	"regex":                      {mesh.Match{Path: mesh.PathMatch{Kind: mesh.PathRegex, Value: "/v[0-9]+/.*"}}, config.Match{PathKind: config.PathRegex, Path: "/v[0-9]+/.*"}},
	"method":                     {mesh.Match{Method: "PATCH"}, config.Match{Method: "PATCH"}},
	"headers": {
		mesh.Match{Headers: []mesh.ValueMatch{{Name: "X-Canary", Value: "yes"}, {Name: "Host", Value: "a"}, {Name: "x", Regex: true, Value: "a|b"}, {Name: "empty"}}},
		config.Match{Headers: []config.ValueMatch{{Name: "x-canary", Value: "yes"}, {Name: "host", Value: "a"}, {Name: "x", Regex: true, Value: "a|b"}, {Name: "empty"}}},
	},
	"query": {
		mesh.Match{Query: []mesh.ValueMatch{{Name: "Q", Value: "1"}, {Name: "r", Regex: true, Value: ".+"}}},
		config.Match{Query: []config.ValueMatch{{Name: "Q", Value: "1"}, {Name: "r", Regex: true, Value: ".+"}}},
	},
}

func text(s string) *string { return &s }

func to(name string, weight uint32) mesh.Backend {
	return mesh.Backend{Service: mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: name}, Port: 80}, Weight: weight}
}

func filtered(f mesh.Filters) mesh.Backend {
	b := to("cart", 1)
	b.Filters = f
	return b
}

var (
	one     = []mesh.Backend{to("cart", 1)}
	oneWant = []config.Backend{{Cluster: "shop/cart:80", Weight: 1}}
)

var ruleCases = map[string]struct {
	match mesh.PathMatch
	from  mesh.Rule
	want  config.Action
}{
	"weights": {
		from: mesh.Rule{Backends: []mesh.Backend{to("cart", 90), to("cart-v2", 10), to("cart", 0)}},
		want: config.Action{Backends: []config.Backend{{Cluster: "shop/cart:80", Weight: 90}, {Cluster: "shop/cart-v2:80", Weight: 10}, {Cluster: "shop/cart:80"}}},
	},
	"no backends": {
		want: config.Action{Fail: &config.Failure{Status: 500, Reason: "NoBackends", Message: "the rule has no backend with a weight above 0"}},
	},
	"all weights 0": {
		from: mesh.Rule{Backends: []mesh.Backend{to("cart", 0)}},
		want: config.Action{Fail: &config.Failure{Status: 500, Reason: "NoBackends", Message: "the rule has no backend with a weight above 0"}},
	},
	"failing rule": {
		from: mesh.Rule{Fail: &mesh.Failure{Status: 500, Reason: "UnsupportedValue", Message: "no such filter"}, Backends: one},
		want: config.Action{Fail: &config.Failure{Status: 500, Reason: "UnsupportedValue", Message: "no such filter"}},
	},
	"failing share": {
		from: mesh.Rule{Backends: []mesh.Backend{to("cart", 1), {Weight: 3, Fail: &mesh.Failure{Status: 500, Reason: "BackendNotFound"}}}},
		want: config.Action{Backends: []config.Backend{{Cluster: "shop/cart:80", Weight: 1}, {Weight: 3, Fail: &config.Failure{Status: 500, Reason: "BackendNotFound"}}}},
	},
	"timeouts": {
		from: mesh.Rule{Timeout: 1500 * time.Millisecond, BackendTimeout: time.Second, Backends: one},
		want: config.Action{Timeout: 1500 * time.Millisecond, BackendTimeout: time.Second, Backends: oneWant},
	},
	"headers": {
		from: mesh.Rule{Backends: one, Filters: mesh.Filters{
			RequestHeaders:  &mesh.HeaderChange{Set: []mesh.Header{{Name: "X-A", Value: "100%"}}, Add: []mesh.Header{{Name: "X-B", Value: "%REQ(x)%"}, {Name: "x-a", Value: ""}}, Remove: []string{"X-C"}},
			ResponseHeaders: &mesh.HeaderChange{Remove: []string{"Server"}},
		}},
		want: config.Action{
			RequestHeaders:  &config.HeaderChange{Set: []config.Header{{Name: "x-a", Value: "100%"}}, Add: []config.Header{{Name: "x-b", Value: "%REQ(x)%"}, {Name: "x-a", Value: ""}}, Remove: []string{"x-c"}},
			ResponseHeaders: &config.HeaderChange{Remove: []string{"server"}}, Backends: oneWant,
		},
	},
	"redirect": {
		from: mesh.Rule{Filters: mesh.Filters{Redirect: &mesh.Redirect{Scheme: "https", Hostname: "example.org", Port: 8443, Status: 308, Path: &mesh.PathChange{Full: text("/new")}}}},
		want: config.Action{Redirect: &config.Redirect{Scheme: "https", Hostname: "example.org", Port: 8443, Status: 308, Path: &config.PathChange{Full: text("/new")}}},
	},
	"redirect of a prefix": {
		match: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/old"},
		from:  mesh.Rule{Filters: mesh.Filters{Redirect: &mesh.Redirect{Status: 303, Path: &mesh.PathChange{Prefix: text("/new")}}}},
		want:  config.Action{Redirect: &config.Redirect{Status: 303, Path: &config.PathChange{Prefix: text("/new")}}},
	},
	"redirect of a prefix to the root": {
		match: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/old"},
		from:  mesh.Rule{Filters: mesh.Filters{Redirect: &mesh.Redirect{Status: 302, Path: &mesh.PathChange{Prefix: text("")}}}},
		want:  config.Action{Redirect: &config.Redirect{Status: 302, Path: &config.PathChange{Prefix: text("/")}}},
	},
	"rewrite": {
		from: mesh.Rule{Backends: one, Filters: mesh.Filters{Rewrite: &mesh.Rewrite{Hostname: "h", Path: &mesh.PathChange{Full: text(`/a\1`)}}}},
		want: config.Action{Backends: oneWant, Rewrite: &config.Rewrite{Hostname: "h", Path: &config.PathChange{Full: text(`/a\1`)}}},
	},
	"rewrite of a prefix": {
		match: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/a.b/"},
		from:  mesh.Rule{Backends: one, Filters: mesh.Filters{Rewrite: &mesh.Rewrite{Path: &mesh.PathChange{Prefix: text("/x/")}}}},
		want:  config.Action{Backends: oneWant, Rewrite: &config.Rewrite{Path: &config.PathChange{Prefix: text("/x")}}},
	},
	"rewrite of a prefix to the root": {
		match: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/a.b"},
		from:  mesh.Rule{Backends: one, Filters: mesh.Filters{Rewrite: &mesh.Rewrite{Path: &mesh.PathChange{Prefix: text("/")}}}},
		want:  config.Action{Backends: oneWant, Rewrite: &config.Rewrite{Path: &config.PathChange{Prefix: text("/")}}},
	},
	"rewrite of the root": {
		match: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/"},
		from:  mesh.Rule{Backends: one, Filters: mesh.Filters{Rewrite: &mesh.Rewrite{Path: &mesh.PathChange{Prefix: text("/x")}}}},
		want:  config.Action{Backends: oneWant, Rewrite: &config.Rewrite{Path: &config.PathChange{Prefix: text("/x")}}},
	},
	"mirrors": {
		from: mesh.Rule{Backends: one, Filters: mesh.Filters{Mirrors: []mesh.Mirror{
			{Backend: to("cart-v2", 0).Service, Numerator: 25, Denominator: 100},
			{Backend: to("cart-v2", 0).Service, Numerator: 1, Denominator: 3},
			{Backend: to("cart-v2", 0).Service},
			{Backend: to("gone", 0).Service, Invalid: "BackendNotFound"},
		}}},
		want: config.Action{Backends: oneWant, Mirrors: []config.Mirror{
			{Cluster: "shop/cart-v2:80", Numerator: 25, Denominator: 100},
			{Cluster: "shop/cart-v2:80", Numerator: 333_333, Denominator: 1_000_000},
			{Cluster: "shop/cart-v2:80", Numerator: 100, Denominator: 100},
		}},
	},
	"filters of the only backend": {
		from: mesh.Rule{
			Filters: mesh.Filters{
				RequestHeaders: &mesh.HeaderChange{Set: []mesh.Header{{Name: "A", Value: "rule"}, {Name: "B", Value: "rule"}}},
				Rewrite:        &mesh.Rewrite{Hostname: "rule", Path: &mesh.PathChange{Full: text("/rule")}},
				Mirrors:        []mesh.Mirror{{Backend: to("cart", 0).Service}},
			},
			Backends: []mesh.Backend{filtered(mesh.Filters{
				RequestHeaders:  &mesh.HeaderChange{Set: []mesh.Header{{Name: "A", Value: "backend"}}},
				ResponseHeaders: &mesh.HeaderChange{Remove: []string{"C"}},
				Rewrite:         &mesh.Rewrite{Path: &mesh.PathChange{Full: text("/backend")}},
				Mirrors:         []mesh.Mirror{{Backend: to("cart-v2", 0).Service}},
			})},
		},
		want: config.Action{
			RequestHeaders:  &config.HeaderChange{Set: []config.Header{{Name: "b", Value: "rule"}, {Name: "a", Value: "backend"}}},
			ResponseHeaders: &config.HeaderChange{Remove: []string{"c"}},
			Rewrite:         &config.Rewrite{Hostname: "rule", Path: &config.PathChange{Full: text("/backend")}},
			Mirrors:         []config.Mirror{{Cluster: "shop/cart:80", Numerator: 100, Denominator: 100}, {Cluster: "shop/cart-v2:80", Numerator: 100, Denominator: 100}},
			Backends:        oneWant,
		},
	},
	"redirect at the only backend": {
		from: mesh.Rule{Backends: []mesh.Backend{filtered(mesh.Filters{Redirect: &mesh.Redirect{Status: 301, Hostname: "h"}})}},
		want: config.Action{Redirect: &config.Redirect{Status: 301, Hostname: "h"}},
	},
	"redirect at the only backend, which is never chosen": {
		from: mesh.Rule{Backends: []mesh.Backend{{Service: one[0].Service, Filters: mesh.Filters{Redirect: &mesh.Redirect{Status: 301, Hostname: "h"}}}}},
		want: config.Action{Fail: &config.Failure{Status: 500, Reason: "NoBackends", Message: "the rule has no backend with a weight above 0"}},
	},
	"external auth over HTTP": {
		from: mesh.Rule{Backends: one, Filters: mesh.Filters{ExternalAuth: &mesh.ExternalAuth{
			Server: to("cart-v2", 0).Service, PathPrefix: "/check", RequestHeaders: []string{"cookie", "x-a"}, ResponseHeaders: []string{"x-user"}, MaxBody: 10,
		}}},
		want: config.Action{Backends: oneWant, ExternalAuth: &config.ExternalAuth{
			Cluster: "shop/cart-v2:80", Authority: "cart-v2.shop:80", PathPrefix: "/check", RequestHeaders: []string{"cookie", "x-a"},
			ResponseHeaders: []string{"x-user"}, MaxBody: 10, Timeout: 5 * time.Second,
		}},
	},
	"external auth over HTTP, before a redirect": {
		from: mesh.Rule{Filters: mesh.Filters{ExternalAuth: &mesh.ExternalAuth{Server: to("cart-v2", 0).Service}, Redirect: &mesh.Redirect{Status: 302}}},
		want: config.Action{
			Redirect:     &config.Redirect{Status: 302},
			ExternalAuth: &config.ExternalAuth{Cluster: "shop/cart-v2:80", Authority: "cart-v2.shop:80", Timeout: 5 * time.Second},
		},
	},
	"external auth over gRPC": {
		from: mesh.Rule{Backends: one, Filters: mesh.Filters{ExternalAuth: &mesh.ExternalAuth{GRPC: true, Server: to("cart-v2", 0).Service, MaxBody: 10}}},
		want: config.Action{Backends: oneWant, ExternalAuth: &config.ExternalAuth{
			GRPC: true, Cluster: "shop/cart-v2:80", Authority: "cart-v2.shop:80", MaxBody: 10, Timeout: 5 * time.Second,
		}},
	},
	"external auth over gRPC, told a few headers": {
		from: mesh.Rule{Backends: one, Filters: mesh.Filters{ExternalAuth: &mesh.ExternalAuth{GRPC: true, Server: to("cart-v2", 0).Service, RequestHeaders: []string{"x-a"}}}},
		want: config.Action{Backends: oneWant, ExternalAuth: &config.ExternalAuth{
			GRPC: true, Cluster: "shop/cart-v2:80", Authority: "cart-v2.shop:80", RequestHeaders: []string{"x-a"}, Timeout: 5 * time.Second,
		}},
	},
	"backend filters": {
		from: mesh.Rule{Backends: []mesh.Backend{filtered(mesh.Filters{
			RequestHeaders:  &mesh.HeaderChange{Add: []mesh.Header{{Name: "A", Value: "1"}}},
			ResponseHeaders: &mesh.HeaderChange{Set: []mesh.Header{{Name: "B", Value: "2"}}},
			Rewrite:         &mesh.Rewrite{Hostname: "h", Path: &mesh.PathChange{Prefix: text("/")}},
			Mirrors:         []mesh.Mirror{{Backend: to("cart-v2", 0).Service, Numerator: 1, Denominator: 2}},
		}), filtered(mesh.Filters{Redirect: &mesh.Redirect{Scheme: "https", Status: 302, Port: 1, Hostname: "h", Path: &mesh.PathChange{Full: text("")}}})}},
		want: config.Action{Backends: []config.Backend{{
			Cluster: "shop/cart:80", Weight: 1,
			RequestHeaders:  &config.HeaderChange{Add: []config.Header{{Name: "a", Value: "1"}}},
			ResponseHeaders: &config.HeaderChange{Set: []config.Header{{Name: "b", Value: "2"}}},
			Rewrite:         &config.Rewrite{Hostname: "h", Path: &config.PathChange{Prefix: text("/")}},
			Mirrors:         []config.Mirror{{Cluster: "shop/cart-v2:80", Numerator: 500_000, Denominator: 1_000_000}},
		}, {
			Cluster: "shop/cart:80", Weight: 1,
			Redirect: &config.Redirect{Scheme: "https", Status: 302, Port: 1, Hostname: "h", Path: &config.PathChange{Full: text("/")}},
		}}},
	},
}

func TestMatches(t *testing.T) {
	for name, c := range matchCases {
		t.Run(name, func(t *testing.T) {
			m := shop(mesh.Entry{Match: c.from, Rule: &mesh.Rule{}})
			diff(t, ask(t, m, web, xds.RouteType, "shop/cart:80").Routes.Entries[0].Match, c.want)
		})
	}
}

func TestRules(t *testing.T) {
	for name, c := range ruleCases {
		t.Run(name, func(t *testing.T) {
			c.from.Origin = mesh.Origin{Kind: "HTTPRoute", Namespace: "shop", Name: "cart", Rule: "canary", Generation: 7}
			c.want.Origin = config.Origin{Kind: "HTTPRoute", Namespace: "shop", Name: "cart", Rule: "canary", Generation: 7}
			m := shop(mesh.Entry{Match: mesh.Match{Path: c.match}, Rule: &c.from})
			got := ask(t, m, web, xds.RouteType, "shop/cart:80").Routes
			diff(t, *got.Entries[0].Action, c.want)
			crossReferences(t, m, web, ask(t, m, web, xds.ListenerType, "outbound/10.96.0.10:80").Listener)
		})
	}
}
