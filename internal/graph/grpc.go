package graph

import (
	"cmp"
	"regexp"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// call is what a match of a GRPCRoute says of the method, for precedence.
type call struct {
	exact           bool
	service, method int // characters
}

// grpcRoute reads a GRPCRoute in the terms of an HTTPRoute: a call is a POST to /service/method.
func grpcRoute(name mesh.Name, object *gatewayv1.GRPCRoute) *route {
	r := newRoute("GRPCRoute", name, &object.ObjectMeta, object.Spec.ParentRefs, object.Spec.Hostnames)
	r.calls = map[place]call{}
	for i, from := range object.Spec.Rules {
		rule := gatewayv1.HTTPRouteRule{Name: from.Name, Filters: httpFilters(from.Filters)}
		for j, m := range from.Matches {
			match, rank := httpMatch(m)
			rule.Matches = append(rule.Matches, match)
			r.calls[place{i, j}] = rank
		}
		for _, ref := range from.BackendRefs {
			rule.BackendRefs = append(rule.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: ref.BackendRef, Filters: httpFilters(ref.Filters)})
		}
		rule.SessionPersistence = from.SessionPersistence //nolint:staticcheck // deprecated (GEP-4894), but there
		r.rules = append(r.rules, rule)
	}
	return r
}

// httpFilters: both kinds of route have the same filters under the same names; a GRPCRoute has fewer.
func httpFilters(in []gatewayv1.GRPCRouteFilter) []gatewayv1.HTTPRouteFilter {
	var out []gatewayv1.HTTPRouteFilter
	for _, f := range in {
		out = append(out, gatewayv1.HTTPRouteFilter{
			Type: gatewayv1.HTTPRouteFilterType(f.Type), RequestHeaderModifier: f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier, RequestMirror: f.RequestMirror, ExtensionRef: f.ExtensionRef,
		})
	}
	return out
}

func httpMatch(m gatewayv1.GRPCRouteMatch) (gatewayv1.HTTPRouteMatch, call) {
	var out gatewayv1.HTTPRouteMatch
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, gatewayv1.HTTPHeaderMatch{
			Type: (*gatewayv1.HeaderMatchType)(h.Type), Name: gatewayv1.HTTPHeaderName(h.Name), Value: h.Value,
		})
	}
	var rank call
	out.Path, rank = httpPath(m.Method)
	return out, rank
}

// anyPart is one part of /service/method that is not said.
const anyPart = "[^/]+"

// httpPath is the path of the calls that a match takes; nil for all.
func httpPath(m *gatewayv1.GRPCMethodMatch) (*gatewayv1.HTTPPathMatch, call) {
	if m == nil {
		return nil, call{}
	}
	service, method := deref(m.Service), deref(m.Method)
	kind := cmp.Or(deref(m.Type), string(gatewayv1.GRPCMethodMatchExact))
	rank := call{exact: kind == string(gatewayv1.GRPCMethodMatchExact), service: len(service), method: len(method)}
	path := func(kind gatewayv1.PathMatchType, value string) *gatewayv1.HTTPPathMatch {
		return &gatewayv1.HTTPPathMatch{Type: &kind, Value: &value}
	}
	switch {
	case service == "" && method == "":
		return nil, rank
	case !rank.exact && kind != string(gatewayv1.GRPCMethodMatchRegularExpression):
		return path(gatewayv1.PathMatchType(kind), "/"), rank // unknown: the rule says so
	case !rank.exact:
		return path(gatewayv1.PathMatchRegularExpression, "/"+part(service)+"/"+part(method)), rank
	case method == "":
		return path(gatewayv1.PathMatchPathPrefix, "/"+service), rank
	case service == "":
		return path(gatewayv1.PathMatchRegularExpression, "/"+anyPart+"/"+regexp.QuoteMeta(method)), rank
	}
	return path(gatewayv1.PathMatchExact, "/"+service+"/"+method), rank
}

// part is an expression that stays one: a|b is either, not the end of the other part.
func part(expression string) string {
	if expression == "" {
		return anyPart
	}
	return "(?:" + expression + ")"
}

// compareCalls orders matches of GRPCRoutes (GRPCRouteRule.matches): more characters of the service, then of the method; exact ones
// before expressions.
func compareCalls(a, b *entry) int {
	if a.call == nil || b.call == nil {
		return 0 // never in one table with matches of another kind
	}
	exact := func(c *call) int {
		if c.exact {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(exact(b.call), exact(a.call)), cmp.Compare(b.call.service, a.call.service),
		cmp.Compare(b.call.method, a.call.method))
}
