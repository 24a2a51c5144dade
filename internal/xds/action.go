package xds

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// forward is the action of a rule that sends requests to backends.
func forward(m *mesh.Mesh, path mesh.PathMatch, r *mesh.Rule) *routev3.RouteAction {
	a := &routev3.RouteAction{
		Timeout:     durationpb.New(r.Timeout), // 0 means none; absent would mean Envoy's 15 s
		RetryPolicy: retryPolicy(r.Retry),

		MaxStreamDuration: callDeadline(r.Timeout),
	}
	if r.BackendTimeout > 0 {
		a.RetryPolicy.PerTryTimeout = durationpb.New(r.BackendTimeout)
	}
	if host := setHost(r.Filters.RequestHeaders); host != "" {
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
	}
	if w := r.Filters.Rewrite; w != nil {
		if w.Hostname != "" {
			a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: w.Hostname}
		}
		if w.Path != nil {
			a.PrefixRewrite, a.RegexRewrite = pathChange(path, w.Path)
		}
	}
	for _, to := range r.Filters.Mirrors {
		if to.Invalid == "" {
			a.RequestMirrorPolicies = append(a.RequestMirrorPolicies, mirror(to))
		}
	}
	clusters := &routev3.WeightedCluster{}
	_, perBackend := split(r)
	for i, b := range r.Backends {
		c := headerChanges(perBackend[i])
		w := &routev3.WeightedCluster_ClusterWeight{
			Name:                    ClusterName(b.Service),
			Weight:                  weight(b.Weight),
			RequestHeadersToAdd:     c.requestAdd,
			RequestHeadersToRemove:  c.requestRemove,
			ResponseHeadersToAdd:    c.responseAdd,
			ResponseHeadersToRemove: c.responseRemove,
		}
		if b.Fail != nil {
			w.Name = FailCluster
			a.ClusterNotFoundResponseCode = routev3.RouteAction_INTERNAL_SERVER_ERROR
		}
		if p := backendPersistence(m, b); p != nil && r.Persistence == nil {
			w.TypedPerFilterConfig = statefulFilter(p)
		}
		if host := backendHost(r.Filters.Rewrite, b.Filters); host != "" {
			w.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: host}
		}
		clusters.Clusters = append(clusters.Clusters, w)
	}
	a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: clusters}
	return a
}

// setHost is the authority that a header change sets: Envoy takes Host in no other way than as a rewrite.
func setHost(c *mesh.HeaderChange) string {
	if c == nil {
		return ""
	}
	for _, h := range c.Set {
		if isHost(h.Name) {
			return h.Value
		}
	}
	return ""
}

// backendHost is the authority that one backend gets instead of the rule's; "" where it has none of its own. Rewrites come
// after header changes, so a rule's rewrite has more weight than a backend's header.
func backendHost(rule *mesh.Rewrite, f mesh.Filters) string {
	switch {
	case f.Rewrite != nil && f.Rewrite.Hostname != "":
		return f.Rewrite.Hostname
	case rule != nil && rule.Hostname != "":
		return ""
	}
	return setHost(f.RequestHeaders)
}

// pathChange says a path change as a prefix rewrite where Envoy's means the same, else as a regular expression: Envoy
// replaces the matched text, while the Gateway API replaces whole path elements.
func pathChange(path mesh.PathMatch, c *mesh.PathChange) (prefix string, rewrite *matcherv3.RegexMatchAndSubstitute) {
	if c.Full != nil {
		return "", substitute(wholePath, fullPath(c))
	}
	if c.Prefix == nil {
		return "", nil
	}
	replacement := trimSlash(*c.Prefix)
	matched := ""
	if path.Kind == mesh.PathPrefix || path.Kind == "" {
		matched = trimSlash(path.Value)
	}
	switch {
	case matched == "":
		return replacement + "/", nil // "/" was matched
	case replacement == "":
		return "", substitute("^"+regexp.QuoteMeta(matched)+"/*", "/")
	}
	return replacement, nil
}

// fullPath is the path to use; an empty one is that of the root (RFC 9110 section 4.2.3), and Envoy would take it for none.
func fullPath(c *mesh.PathChange) string {
	if *c.Full == "" {
		return "/"
	}
	return *c.Full
}

// wholePath matches a path to its end: Envoy applies it to the path without its query.
const wholePath = "^/.*"

func substitute(pattern, replacement string) *matcherv3.RegexMatchAndSubstitute {
	return &matcherv3.RegexMatchAndSubstitute{
		Pattern:      regex(pattern),
		Substitution: strings.ReplaceAll(replacement, `\`, `\\`), // \1 would be a group
	}
}

var redirectCodes = map[int]routev3.RedirectAction_RedirectResponseCode{
	301: routev3.RedirectAction_MOVED_PERMANENTLY,
	302: routev3.RedirectAction_FOUND,
	303: routev3.RedirectAction_SEE_OTHER,
	307: routev3.RedirectAction_TEMPORARY_REDIRECT,
	308: routev3.RedirectAction_PERMANENT_REDIRECT,
}

// wellKnown are the ports that go without saying.
var wellKnown = map[string]uint16{"http": 80, "https": 443}

func redirect(path mesh.PathMatch, r *mesh.Redirect) *routev3.RedirectAction {
	code, ok := redirectCodes[r.Status]
	if !ok {
		code = routev3.RedirectAction_FOUND // the Gateway API's default
	}
	a := &routev3.RedirectAction{HostRedirect: r.Hostname, PortRedirect: uint32(r.Port), ResponseCode: code}
	if wellKnown[r.Scheme] == r.Port {
		a.PortRedirect = 0 // follows from the scheme; Envoy would write it down
	}
	if r.Scheme != "" {
		a.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: r.Scheme}
	}
	if r.Path == nil {
		return a
	}
	if r.Path.Full != nil {
		a.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: fullPath(r.Path)}
		return a
	}
	prefix, rewrite := pathChange(path, r.Path)
	if rewrite != nil {
		a.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: rewrite}
	} else if prefix != "" {
		a.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: prefix}
	}
	return a
}

func mirror(m mesh.Mirror) *routev3.RouteAction_RequestMirrorPolicy {
	return &routev3.RouteAction_RequestMirrorPolicy{
		Cluster:                       ClusterName(m.Backend),
		RuntimeFraction:               &corev3.RuntimeFractionalPercent{DefaultValue: fraction(m.Numerator, m.Denominator)},
		DisableShadowHostSuffixAppend: true,
	}
}

// fraction says numerator of denominator in one of the three denominators that Envoy has; 0 of 0 is all.
func fraction(numerator, denominator uint32) *typev3.FractionalPercent {
	switch denominator {
	case 0:
		return &typev3.FractionalPercent{Numerator: 100, Denominator: typev3.FractionalPercent_HUNDRED}
	case 100:
		return &typev3.FractionalPercent{Numerator: numerator, Denominator: typev3.FractionalPercent_HUNDRED}
	case 10_000:
		return &typev3.FractionalPercent{Numerator: numerator, Denominator: typev3.FractionalPercent_TEN_THOUSAND}
	}
	const million = 1_000_000
	return &typev3.FractionalPercent{
		Numerator:   uint32(min(uint64(numerator)*million/uint64(denominator), million)),
		Denominator: typev3.FractionalPercent_MILLION,
	}
}

// backendExtras says in metadata what a weighted cluster has no field for: KeyBackends.
func backendExtras(backends []mesh.Backend) fields {
	all := fields{}
	for i, b := range backends {
		one := fields{}
		if b.Fail != nil {
			one.nested("fail", failure(*b.Fail))
		}
		if r := b.Filters.Redirect; r != nil {
			one.nested("redirect", fields{}.text("scheme", r.Scheme).text("hostname", r.Hostname).
				number("port", float64(r.Port)).number("status", float64(r.Status)).nested("path", pathFields(r.Path)))
		}
		if w := b.Filters.Rewrite; w != nil {
			one.nested("rewrite", pathFields(w.Path))
		}
		var mirrors []*structpb.Value
		for _, m := range b.Filters.Mirrors {
			if m.Invalid == "" {
				f := fraction(m.Numerator, m.Denominator)
				mirrors = append(mirrors, structpb.NewStructValue(fields{}.text("cluster", ClusterName(m.Backend)).
					number("numerator", float64(f.Numerator)).number("denominator", float64(denominators[f.Denominator])).structure()))
			}
		}
		if len(mirrors) > 0 {
			one["mirrors"] = structpb.NewListValue(&structpb.ListValue{Values: mirrors})
		}
		all.nested(strconv.Itoa(i), one)
	}
	return all
}

var denominators = map[typev3.FractionalPercent_DenominatorType]uint32{
	typev3.FractionalPercent_HUNDRED:      100,
	typev3.FractionalPercent_TEN_THOUSAND: 10_000,
	typev3.FractionalPercent_MILLION:      1_000_000,
}

func pathFields(c *mesh.PathChange) fields {
	f := fields{}
	switch {
	case c == nil:
	case c.Full != nil:
		f["full"] = structpb.NewStringValue(fullPath(c))
	case c.Prefix != nil:
		f["prefix"] = structpb.NewStringValue(*c.Prefix)
	}
	return f
}

// callDeadline lets a gRPC call last as long as its own grpc-timeout says (gRPC over HTTP/2, "Timeout"). Where it is set, Envoy does not
// look at a route's timeout any more, so a rule that has one goes without.
func callDeadline(timeout time.Duration) *routev3.RouteAction_MaxStreamDuration {
	if timeout > 0 {
		return nil
	}
	return &routev3.RouteAction_MaxStreamDuration{GrpcTimeoutHeaderMax: noTimeout()} // 0: whatever it says
}

func noTimeout() *durationpb.Duration { return durationpb.New(time.Duration(0)) }
