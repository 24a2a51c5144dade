package xds

import (
	"maps"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

const anyHost = "*"

// RouteConfiguration is a port's producer table, a client namespace's consumer table, a table of the asking gateway, or of the hosts that
// the asking namespace registers; nil
// when there is none by that name. Routes stand in order of precedence; a request that none matches is answered 404, by Envoy
// as by our proxy.
func RouteConfiguration(m *mesh.Mesh, who mesh.Name, name string) *routev3.RouteConfiguration {
	if isGatewayRoute(name) {
		return gatewayRoutes(m, gatewayOf(m, who), name)
	}
	if _, _, ok := parseRegisteredRoute(name); ok {
		return registeredRoutes(m, who, name)
	}
	sp, consumer, ok := parseRoute(name)
	if !ok {
		return nil
	}
	_, port := servicePort(m, sp)
	if port == nil {
		return nil
	}
	table := port.Routes
	if consumer != "" {
		table = port.Consumer[consumer]
	}
	if table == nil {
		return nil
	}
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{virtualHost(m, anyHost, table)}}
}

func virtualHost(m *mesh.Mesh, domain string, table *mesh.RouteTable) *routev3.VirtualHost {
	host := &routev3.VirtualHost{Name: domain, Domains: []string{domain}}
	for i, e := range table.Entries {
		host.Routes = append(host.Routes, route(m, i, e))
	}
	return host
}

func route(m *mesh.Mesh, index int, e mesh.Entry) *routev3.Route {
	r := &routev3.Route{
		Name:  strconv.Itoa(index),
		Match: match(e.Match),
	}
	rule := hoist(e.Rule)
	md := metadata{}.set(KeyOrigin, origin(rule.Origin))
	md.set(KeyCORS, corsFields(rule.Filters.CORS))
	own, _ := split(rule)
	changes := headerChanges(own)
	r.RequestHeadersToAdd, r.RequestHeadersToRemove = changes.requestAdd, changes.requestRemove
	r.ResponseHeadersToAdd, r.ResponseHeadersToRemove = changes.responseAdd, changes.responseRemove
	filters := map[string]*anypb.Any{}
	switch {
	case rule.Fail != nil:
		r.Action = directResponse(*rule.Fail)
		md.set(KeyFail, failure(*rule.Fail))
	case rule.Filters.Redirect != nil:
		r.Action = &routev3.Route_Redirect{Redirect: redirect(e.Match.Path, rule.Filters.Redirect)}
	case totalWeight(rule.Backends) == 0:
		r.Action = directResponse(noBackends)
		md.set(KeyFail, failure(noBackends))
	default:
		r.Action = &routev3.Route_Route{Route: forward(m, e.Match.Path, rule)}
		md.set(KeyBackends, backendExtras(rule.Backends))
		if p := kept(m, rule.Persistence); p != nil {
			maps.Copy(filters, statefulFilter(p))
			md.set(KeyPersistence, sessions(p, ruleKey(m.Settings.SessionKey, rule.Origin)))
		}
	}
	if r.GetDirectResponse() == nil {
		maps.Copy(filters, externalAuth(m, rule.Filters.ExternalAuth))
	}
	r.TypedPerFilterConfig = filters
	r.Metadata = md.proto()
	return r
}

// corsFields says a CORS policy; nil for none. Envoy's own would be a filter in each connection manager, with another idea of wildcards.
func corsFields(c *mesh.CORS) fields {
	if c == nil {
		return nil
	}
	list := func(items []string) string { return strings.Join(items, ",") }
	f := fields{"max_age": structpb.NewNumberValue(float64(c.MaxAge))}
	if c.Credentials {
		f["credentials"] = structpb.NewBoolValue(true)
	}
	return f.text("origins", list(c.Origins)).text("methods", list(c.Methods)).text("headers", list(c.Headers)).text("expose", list(c.Expose))
}

// noBackends answers the requests of a rule without backends, or whose weights are all 0 (HTTPRouteRule.backendRefs).
var noBackends = mesh.Failure{Status: 500, Reason: "NoBackends", Message: "the rule has no backend with a weight above 0"}

func directResponse(f mesh.Failure) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: uint32(f.Status)}}
}

func failure(f mesh.Failure) fields {
	return fields{}.number("status", float64(f.Status)).text("reason", f.Reason).text("message", f.Message)
}

func match(from mesh.Match) *routev3.RouteMatch {
	to := &routev3.RouteMatch{}
	switch from.Path.Kind {
	case mesh.PathExact:
		to.PathSpecifier = &routev3.RouteMatch_Path{Path: from.Path.Value}
	case mesh.PathRegex:
		to.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: regex(from.Path.Value)}
	default:
		if prefix := trimSlash(from.Path.Value); prefix == "" {
			to.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
		} else {
			to.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}
		}
	}
	if from.Method != "" {
		to.Headers = append(to.Headers, header(mesh.ValueMatch{Name: ":method", Value: from.Method}))
	}
	for _, h := range from.Headers {
		to.Headers = append(to.Headers, header(h))
	}
	for _, q := range from.Query {
		to.QueryParameters = append(to.QueryParameters, &routev3.QueryParameterMatcher{
			Name:                         q.Name,
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: text(q)},
		})
	}
	return to
}

// trimSlash takes trailing slashes off: a prefix matches whole path elements, so "/a/" and "/a" say the same.
func trimSlash(prefix string) string { return strings.TrimRight(prefix, "/") }

func header(h mesh.ValueMatch) *routev3.HeaderMatcher {
	name := strings.ToLower(h.Name)
	if name == "host" {
		name = ":authority" // where Envoy keeps it, whatever the protocol
	}
	return &routev3.HeaderMatcher{
		Name:                 name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: text(h)},
	}
}

func text(v mesh.ValueMatch) *matcherv3.StringMatcher {
	if v.Regex {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(v.Value)}}
	}
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: v.Value}}
}

func regex(pattern string) *matcherv3.RegexMatcher { return &matcherv3.RegexMatcher{Regex: pattern} }

// changes are header changes as Envoy takes them, at a route as well as at a weighted cluster.
type changes struct {
	requestAdd, responseAdd       []*corev3.HeaderValueOption
	requestRemove, responseRemove []string
}

func headerChanges(f mesh.Filters) changes {
	var c changes
	if h := f.RequestHeaders; h != nil {
		c.requestAdd, c.requestRemove = headerOptions(h), removals(h.Remove)
	}
	if h := f.ResponseHeaders; h != nil {
		c.responseAdd, c.responseRemove = headerOptions(h), removals(h.Remove)
	}
	return c
}

// headerOptions lists sets before adds: Envoy removes first and then applies the list in order.
func headerOptions(h *mesh.HeaderChange) []*corev3.HeaderValueOption {
	var list []*corev3.HeaderValueOption
	option := func(h mesh.Header, action corev3.HeaderValueOption_HeaderAppendAction) {
		if isHost(h.Name) {
			return // a rewrite: see setHost
		}
		list = append(list, &corev3.HeaderValueOption{
			Header: &corev3.HeaderValue{
				Key: strings.ToLower(h.Name),
				// Envoy reads % as the start of a command.
				Value: strings.ReplaceAll(h.Value, "%", "%%"),
			},
			AppendAction:   action,
			KeepEmptyValue: true,
		})
	}
	for _, s := range h.Set {
		option(s, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	}
	for _, a := range h.Add {
		option(a, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD)
	}
	return list
}

// isHost tells whether a field is the authority, which can be set, but neither be added to nor removed.
func isHost(name string) bool { return strings.EqualFold(name, "host") }

func removals(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		if !isHost(n) {
			out = append(out, strings.ToLower(n))
		}
	}
	return out
}

func totalWeight(backends []mesh.Backend) uint64 {
	var total uint64
	for _, b := range backends {
		total += uint64(b.Weight)
	}
	return total
}

func weight(w uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(w) }
