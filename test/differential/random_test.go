//go:build differential

package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/test/fixture"
)

const (
	randomConfiguration = "random-"
	// randomCalls is how many requests each random configuration gets.
	randomCalls = 25
)

func isRandom(d *destination) bool { return strings.HasPrefix(d.name, randomConfiguration) }

// addRandom adds n configurations: the sample shop with random routes.
func (u *union) addRandom(seed uint64, n int) {
	for i := range n {
		r := dice{rand.New(rand.NewPCG(seed, uint64(i)))}
		events, _ := fixture.Case(u.t, casesRoot, "shop")
		for route := range 1 + r.IntN(2) {
			events = append(events, snapshot.Upsert(r.route(route)))
		}
		u.add(fmt.Sprint(randomConfiguration, i), build(events), "")
	}
}

// randomRequests are requests to the random configurations, from the same few words, so that many meet a match.
func randomRequests(u *union, seed uint64) []*request {
	var out []*request
	for i, d := range u.destinations {
		if !isRandom(d) {
			continue
		}
		r := dice{rand.New(rand.NewPCG(seed, 1<<32+uint64(i)))}
		for n := range randomCalls {
			out = append(out, &request{name: fmt.Sprintf("%s/call %d", d.name, n), to: d, raw: r.call().raw()})
		}
	}
	return out
}

// dice makes random things of few words.
type dice struct{ *rand.Rand }

func pick[T any](r dice, from ...T) T { return from[r.IntN(len(from))] }

func (r dice) path() string {
	var b strings.Builder
	for range r.IntN(3) + 1 {
		b.WriteString("/" + pick(r, "a", "b", "ab", "A", "", "a", "b"))
	}
	return b.String()
}

func (r dice) route(n int) *gatewayv1.HTTPRoute {
	kind := gatewayv1.Kind("Service")
	group := gatewayv1.Group("")
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("random-", n), Generation: 1}}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Group: &group, Kind: &kind, Name: "catalog"}}
	for range 1 + r.IntN(4) {
		route.Spec.Rules = append(route.Spec.Rules, r.rule())
	}
	return route
}

func (r dice) rule() gatewayv1.HTTPRouteRule {
	var rule gatewayv1.HTTPRouteRule
	exact := true
	for range r.IntN(3) {
		match := r.match()
		exact = exact && *match.Path.Type == gatewayv1.PathMatchPathPrefix
		rule.Matches = append(rule.Matches, match)
	}
	if r.IntN(4) > 0 {
		rule.Filters = append(rule.Filters, r.headers(gatewayv1.HTTPRouteFilterRequestHeaderModifier))
	}
	if r.IntN(3) == 0 {
		rule.Filters = append(rule.Filters, r.headers(gatewayv1.HTTPRouteFilterResponseHeaderModifier))
	}
	if r.IntN(4) == 0 {
		rule.Filters = append(rule.Filters, r.redirect(exact))
		return rule
	}
	if r.IntN(3) == 0 {
		rewrite := &gatewayv1.HTTPURLRewriteFilter{Path: r.pathChange(exact)}
		if r.IntN(2) == 0 {
			rewrite.Hostname = new(gatewayv1.PreciseHostname("rewritten.example.org"))
		}
		rule.Filters = append(rule.Filters, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterURLRewrite, URLRewrite: rewrite})
	}
	// Each Service once: which of two references to one was chosen could not be told.
	names := []gatewayv1.ObjectName{"catalog-v1", "catalog-v2", "catalog", "missing"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for i := range 1 + r.IntN(2) {
		ref := gatewayv1.HTTPBackendRef{}
		ref.Name = names[i]
		ref.Port = new(gatewayv1.PortNumber(80))
		ref.Weight = new(pick(r, int32(1), 1, 2, 0))
		if r.IntN(3) == 0 {
			ref.Filters = append(ref.Filters, r.headers(gatewayv1.HTTPRouteFilterRequestHeaderModifier))
		}
		rule.BackendRefs = append(rule.BackendRefs, ref)
	}
	return rule
}

func (r dice) match() gatewayv1.HTTPRouteMatch {
	kind := pick(r, gatewayv1.PathMatchPathPrefix, gatewayv1.PathMatchPathPrefix, gatewayv1.PathMatchExact, gatewayv1.PathMatchRegularExpression)
	path := r.path()
	if kind == gatewayv1.PathMatchRegularExpression {
		path = pick(r, "/a.*", "/[ab]+", "/a|/b/.*", "/(a|ab)/?", ".*b")
	} else if path = strings.ReplaceAll(path, "//", "/"); strings.Contains(path, "//") {
		path = "/a"
	}
	match := gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{Type: &kind, Value: &path}}
	if r.IntN(4) == 0 {
		match.Method = new(pick(r, gatewayv1.HTTPMethodGet, gatewayv1.HTTPMethodPost))
	}
	for range r.IntN(3) {
		match.Headers = append(match.Headers, gatewayv1.HTTPHeaderMatch{
			Type: new(pick(r, gatewayv1.HeaderMatchExact, gatewayv1.HeaderMatchRegularExpression)),
			Name: pick(r, gatewayv1.HTTPHeaderName("X-One"), "x-two", "Host", "X-One"), Value: pick(r, "a", "b", "a|b", "[a-c]+", "a,b"),
		})
	}
	if r.IntN(3) == 0 {
		match.QueryParams = append(match.QueryParams, gatewayv1.HTTPQueryParamMatch{
			Type: new(pick(r, gatewayv1.QueryParamMatchExact, gatewayv1.QueryParamMatchRegularExpression)),
			Name: pick(r, gatewayv1.HTTPHeaderName("p"), "q"), Value: pick(r, "a", "b", "a b", ".+"),
		})
	}
	return match
}

func (r dice) headers(kind gatewayv1.HTTPRouteFilterType) gatewayv1.HTTPRouteFilter {
	change := &gatewayv1.HTTPHeaderFilter{}
	name := func() string {
		return pick(r, "X-One", "x-two", "X-Three", "X-Served-By", "Cookie", "Accept", "User-Agent", "Via")
	}
	for range r.IntN(2) {
		change.Set = append(change.Set, gatewayv1.HTTPHeader{Name: gatewayv1.HTTPHeaderName(name()), Value: pick(r, "set", "50%", "a, b", "%START_TIME%")})
	}
	for range r.IntN(3) {
		change.Add = append(change.Add, gatewayv1.HTTPHeader{Name: gatewayv1.HTTPHeaderName(name()), Value: pick(r, "add", "more", "two words")})
	}
	for range r.IntN(2) {
		change.Remove = append(change.Remove, name())
	}
	filter := gatewayv1.HTTPRouteFilter{Type: kind}
	if kind == gatewayv1.HTTPRouteFilterRequestHeaderModifier {
		filter.RequestHeaderModifier = change
	} else {
		filter.ResponseHeaderModifier = change
	}
	return filter
}

func (r dice) redirect(prefixes bool) gatewayv1.HTTPRouteFilter {
	to := &gatewayv1.HTTPRequestRedirectFilter{Path: r.pathChange(prefixes)}
	if r.IntN(2) == 0 {
		to.Scheme = new(pick(r, "http", "https"))
	}
	if r.IntN(2) == 0 {
		to.Hostname = new(gatewayv1.PreciseHostname("redirected.example.org"))
	}
	if r.IntN(3) == 0 {
		to.Port = new(pick(r, gatewayv1.PortNumber(80), 443, 8080))
	}
	if r.IntN(2) == 0 {
		to.StatusCode = new(pick(r, 301, 302, 303, 307, 308))
	}
	return gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestRedirect, RequestRedirect: to}
}

// pathChange is nil half of the time. Prefixes can only be replaced where all matches are prefixes.
func (r dice) pathChange(prefixes bool) *gatewayv1.HTTPPathModifier {
	to := pick(r, "/", "/new", "/new/", "/a/b", "", `/\1`, "/100%")
	switch {
	case r.IntN(2) == 0:
		return nil
	case prefixes && r.IntN(2) == 0:
		return &gatewayv1.HTTPPathModifier{Type: gatewayv1.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: &to}
	}
	return &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: &to}
}

// call leaves out what verdicts are about (repeated fields, escapes in queries, ports in Host), and empty fields: Envoy drops
// an empty value when it adds another one, which is the same list (RFC 9110 section 5.6.1).
func (r dice) call() call {
	c := call{method: pick(r, "GET", "GET", "POST", "HEAD", "PUT"), path: r.path(), host: pick(r, "catalog", "CATALOG", "a", "b")}
	for _, name := range []string{"X-One", "x-two", "X-Three", "Cookie", "Accept"} {
		if r.IntN(3) == 0 {
			c.fields = append(c.fields, name+": "+pick(r, "a", "b", "c", "a,b"))
		}
	}
	if r.IntN(2) == 0 {
		c.query = pick(r, "p", "q", "P") + "=" + pick(r, "a", "b", "a=b", "")
		if r.IntN(2) == 0 {
			c.query += "&" + pick(r, "p", "q") + "=" + pick(r, "a", "b")
		}
	}
	c.fields = append(c.fields, "X-Answer: "+pick(r, "", "served-by", "chunked", "404"))
	return c
}
