package graph

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// filters compiles filters; each problem goes to reject. A filter that is not known is never skipped (HTTPRouteFilter,
// "extensionRef"): it may be the one that keeps somebody out.
func (c *ruleCompiler) filters(in []gatewayv1.HTTPRouteFilter, reject func(status.Problem)) mesh.Filters {
	var out mesh.Filters
	seen := map[gatewayv1.HTTPRouteFilterType]bool{}
	for i, f := range in {
		if seen[f.Type] && f.Type != gatewayv1.HTTPRouteFilterRequestMirror {
			reject(status.Incompatible("filter %.40s is there more than once: write it once", f.Type))
			continue
		}
		seen[f.Type] = true
		if !c.filter(&out, f, fmt.Sprintf("filters[%d]", i), reject) {
			reject(status.Unsupported("filter %.40s has no settings: write the field of the same name", f.Type))
		}
	}
	if out.Redirect != nil && out.Rewrite != nil {
		reject(status.Incompatible("RequestRedirect and URLRewrite cannot be combined: remove one"))
	}
	return out
}

// filter compiles one filter into out; false if the field that its type needs is not there.
func (c *ruleCompiler) filter(out *mesh.Filters, f gatewayv1.HTTPRouteFilter, where string, reject func(status.Problem)) bool {
	switch f.Type {
	case gatewayv1.HTTPRouteFilterRequestHeaderModifier:
		out.RequestHeaders = headerChange(f.RequestHeaderModifier, reject)
		return out.RequestHeaders != nil
	case gatewayv1.HTTPRouteFilterResponseHeaderModifier:
		out.ResponseHeaders = headerChange(f.ResponseHeaderModifier, reject)
		return out.ResponseHeaders != nil
	case gatewayv1.HTTPRouteFilterRequestRedirect:
		out.Redirect = redirect(f.RequestRedirect, reject)
		return out.Redirect != nil
	case gatewayv1.HTTPRouteFilterURLRewrite:
		out.Rewrite = rewrite(f.URLRewrite, reject)
		return out.Rewrite != nil
	case gatewayv1.HTTPRouteFilterRequestMirror:
		if f.RequestMirror == nil {
			return false
		}
		if mirror, some := c.mirror(f.RequestMirror, where, reject); some {
			out.Mirrors = append(out.Mirrors, mirror)
		}
		return true
	case gatewayv1.HTTPRouteFilterCORS:
		out.CORS = corsPolicy(f.CORS)
		return out.CORS != nil
	case gatewayv1.HTTPRouteFilterExternalAuth:
		out.ExternalAuth = c.externalAuth(f.ExternalAuth, where, reject)
		return out.ExternalAuth != nil
	default:
		reject(status.Unsupported("filter %.40s is not supported: remove it", f.Type))
		return true
	}
}

// defaultMaxAge is how long a browser may keep the answer to a preflight request, in seconds (HTTPCORSFilter.maxAge).
const defaultMaxAge = 5

// corsPolicy is nil if there is nothing to read.
func corsPolicy(in *gatewayv1.HTTPCORSFilter) *mesh.CORS {
	if in == nil {
		return nil
	}
	out := &mesh.CORS{Credentials: in.AllowCredentials != nil && *in.AllowCredentials, MaxAge: defaultMaxAge}
	if in.MaxAge > 0 {
		out.MaxAge = uint32(in.MaxAge)
	}
	for _, o := range in.AllowOrigins {
		out.Origins = append(out.Origins, string(o))
	}
	for _, m := range in.AllowMethods {
		out.Methods = append(out.Methods, string(m))
	}
	for _, h := range in.AllowHeaders {
		out.Headers = append(out.Headers, string(h))
	}
	for _, h := range in.ExposeHeaders {
		out.Expose = append(out.Expose, string(h))
	}
	return out
}

// ownedHeaders belong to the proxy's own framing of messages (RFC 9110, section 7.6.1; RFC 9112, section 6): changing them
// would let one message be read as two.
var ownedHeaders = []string{
	"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

// headerChange is nil if there is nothing to read.
func headerChange(in *gatewayv1.HTTPHeaderFilter, reject func(status.Problem)) *mesh.HeaderChange {
	if in == nil {
		return nil
	}
	out := &mesh.HeaderChange{Set: headerList(in.Set, reject), Add: headerList(in.Add, reject)}
	for _, name := range in.Remove {
		if checkHeaderName(name, reject) {
			out.Remove = append(out.Remove, name)
		}
	}
	return out
}

func headerList(in []gatewayv1.HTTPHeader, reject func(status.Problem)) []mesh.Header {
	var out []mesh.Header
	for _, h := range in {
		name := string(h.Name)
		if !checkHeaderName(name, reject) {
			continue
		}
		if !isFieldValue(h.Value) {
			reject(status.Unsupported("the value of header %.100s has control characters, or spaces at its ends: remove them", name))
			continue
		}
		// "only the first entry with an equivalent name MUST be considered" (HTTPHeader).
		if !slices.ContainsFunc(out, func(o mesh.Header) bool { return strings.EqualFold(o.Name, name) }) {
			out = append(out, mesh.Header{Name: name, Value: h.Value})
		}
	}
	return out
}

func checkHeaderName(name string, reject func(status.Problem)) bool {
	switch {
	case !isToken(name):
		reject(status.Unsupported("header name %.100q has characters that no header can have", name))
	case slices.Contains(ownedHeaders, strings.ToLower(name)):
		reject(status.Unsupported("header %s frames messages and cannot be changed: remove it from the filter", name))
	default:
		return true
	}
	return false
}

// isFieldValue holds for the values that a header can have (RFC 9110, section 5.5).
func isFieldValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.Trim(value, " \t") == value
}

// redirect is nil if there is nothing to read.
func redirect(in *gatewayv1.HTTPRequestRedirectFilter, reject func(status.Problem)) *mesh.Redirect {
	if in == nil {
		return nil
	}
	out := &mesh.Redirect{Status: 302, Path: pathChange(in.Path, reject)}
	if in.StatusCode != nil {
		out.Status = *in.StatusCode
	}
	if !slices.Contains([]int{301, 302, 303, 307, 308}, out.Status) {
		reject(status.Unsupported("redirect with status %d: use 301, 302, 303, 307 or 308", out.Status))
	}
	if in.Scheme != nil {
		out.Scheme = *in.Scheme
		if out.Scheme != "http" && out.Scheme != "https" {
			reject(status.Unsupported("redirect to scheme %.40q: use http or https", out.Scheme))
		}
	}
	if in.Hostname != nil {
		out.Hostname = hostname(*in.Hostname, reject)
	}
	if in.Port != nil {
		if *in.Port < 1 || *in.Port > 65535 {
			reject(status.Unsupported("redirect to port %d: use 1 to 65535", *in.Port))
			return out
		}
		out.Port = uint16(*in.Port)
	}
	return out
}

// rewrite is nil if there is nothing to read.
func rewrite(in *gatewayv1.HTTPURLRewriteFilter, reject func(status.Problem)) *mesh.Rewrite {
	if in == nil {
		return nil
	}
	out := &mesh.Rewrite{Path: pathChange(in.Path, reject)}
	if in.Hostname != nil {
		out.Hostname = hostname(*in.Hostname, reject)
	}
	return out
}

// hostname holds a host to the characters of a DNS name (PreciseHostname).
func hostname(in gatewayv1.PreciseHostname, reject func(status.Problem)) string {
	ok := in != "" && len(in) <= 253
	for i := range len(in) {
		c := in[i]
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.')
	}
	if !ok {
		reject(status.Unsupported("hostname %.100q: use a name of lower-case letters, digits, dashes and dots", string(in)))
	}
	return string(in)
}

// pathChange is nil where the path stays.
func pathChange(in *gatewayv1.HTTPPathModifier, reject func(status.Problem)) *mesh.PathChange {
	if in == nil {
		return nil
	}
	out := &mesh.PathChange{}
	value := in.ReplaceFullPath
	switch in.Type {
	case gatewayv1.FullPathHTTPPathModifier:
		out.Full = value
	case gatewayv1.PrefixMatchHTTPPathModifier:
		value = in.ReplacePrefixMatch
		out.Prefix = value
	default:
		reject(status.Unsupported("path modifier %.40q is not known: use ReplaceFullPath or ReplacePrefixMatch", in.Type))
		return nil
	}
	switch {
	case value == nil:
		reject(status.Unsupported("path modifier %s has no value: write the field of the same name", in.Type))
		return nil
	case *value != "" && (!strings.HasPrefix(*value, "/") || !isRequestTarget(*value)):
		reject(status.Unsupported("path %.100q starts without / or has characters that no path can have", *value))
	}
	return out
}

// isRequestTarget keeps out what would end a request line (RFC 9112, section 3) or start a query or fragment.
func isRequestTarget(path string) bool {
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
			return false
		}
	}
	return true
}

// mirror is false for one that never sends anything.
func (c *ruleCompiler) mirror(in *gatewayv1.HTTPRequestMirrorFilter, where string, reject func(status.Problem)) (mesh.Mirror, bool) {
	out := mesh.Mirror{Numerator: 100, Denominator: 100}
	numerator, denominator := int32(100), int32(100)
	switch {
	case in.Percent != nil && in.Fraction != nil:
		reject(status.Unsupported("a mirror has percent and fraction: use one"))
	case in.Percent != nil:
		numerator = *in.Percent
	case in.Fraction != nil:
		numerator = in.Fraction.Numerator
		if in.Fraction.Denominator != nil {
			denominator = *in.Fraction.Denominator
		}
	}
	if numerator < 0 || denominator < 1 || numerator > denominator {
		reject(status.Unsupported("a mirror of %d in %d requests: use 0 to all of them", numerator, denominator))
		return out, false
	}
	out.Numerator, out.Denominator = uint32(numerator), uint32(denominator)
	to, wrong := c.refs.backend(in.BackendRef, c.from())
	out.Backend = to
	if wrong != nil {
		located := wrong.In(where).In(c.label)
		c.references = append(c.references, located)
		out.Invalid = located.Text
	}
	return out, out.Numerator > 0
}
