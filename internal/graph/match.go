package graph

import (
	"regexp"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// matches compiles the matches of a rule; none means that everything matches. One that cannot be evaluated is left out,
// and makes its rule invalid.
func (c *ruleCompiler) matches(in []gatewayv1.HTTPRouteMatch) []mesh.Match {
	if len(in) == 0 {
		in = []gatewayv1.HTTPRouteMatch{{}}
	}
	out := make([]mesh.Match, 0, len(in))
	for _, m := range in {
		before := len(c.invalid)
		compiled := mesh.Match{
			Path:    c.path(m.Path),
			Method:  c.method(m.Method),
			Headers: c.headers(m.Headers),
			Query:   c.query(m.QueryParams),
		}
		if len(c.invalid) == before {
			out = append(out, compiled)
		}
	}
	return out
}

func (c *ruleCompiler) path(in *gatewayv1.HTTPPathMatch) mesh.PathMatch {
	out := mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/"}
	if in == nil {
		return out
	}
	if in.Type != nil {
		out.Kind = mesh.PathMatchKind(*in.Type)
	}
	if in.Value != nil {
		out.Value = *in.Value
	}
	switch out.Kind {
	case mesh.PathRegex:
		c.regex("path", out.Value)
		return out
	case mesh.PathExact, mesh.PathPrefix:
	default:
		c.reject(status.Unsupported("path match type %.40q is not known: use Exact, PathPrefix or RegularExpression", out.Kind))
		return out
	}
	if wrong := badPath(out.Value); wrong != "" {
		c.reject(status.Unsupported("path %.100q %s", out.Value, wrong))
	}
	if out.Kind == mesh.PathPrefix && out.Value != "/" {
		// "When specified, a trailing / is ignored" (HTTPPathMatch): "/foo/" and "/foo" match the same requests.
		out.Value = strings.TrimSuffix(out.Value, "/")
	}
	return out
}

// pathBytes are the characters of a path (RFC 3986, section 3.3), as the API server checks them.
var pathBytes = regexp.MustCompile(`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$`)

// badPath says what is wrong with the value of an exact or prefix match (HTTPPathMatch); "" if nothing is.
func badPath(path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "does not start with /"
	case !pathBytes.MatchString(path):
		return "has characters that no path can have: encode them with %"
	case strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/.."):
		return "ends with a dot segment: write the path that is meant"
	}
	for _, part := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(path, part) {
			return "contains " + part + ": write the path that is meant"
		}
	}
	return ""
}

// method is checked by its characters only: methods that nobody has heard of can be routed too.
func (c *ruleCompiler) method(in *gatewayv1.HTTPMethod) string {
	if in == nil {
		return ""
	}
	if !isToken(string(*in)) {
		c.reject(status.Unsupported("method %.40q is not a method: write it like GET", string(*in)))
	}
	return string(*in)
}

func (c *ruleCompiler) headers(in []gatewayv1.HTTPHeaderMatch) []mesh.ValueMatch {
	var out []mesh.ValueMatch
	for _, h := range in {
		name := strings.ToLower(string(h.Name))
		if !isToken(name) {
			c.reject(status.Unsupported("header name %.100q in a match has characters that no header can have", string(h.Name)))
			continue
		}
		if has(out, name) {
			continue // "only the first entry with an equivalent name MUST be considered" (HTTPHeaderMatch)
		}
		kind := gatewayv1.HeaderMatchExact
		if h.Type != nil {
			kind = *h.Type
		}
		out = append(out, c.value("header "+name, name, string(kind), h.Value))
	}
	return out
}

func (c *ruleCompiler) query(in []gatewayv1.HTTPQueryParamMatch) []mesh.ValueMatch {
	var out []mesh.ValueMatch
	for _, q := range in {
		name := string(q.Name)
		if name == "" {
			c.reject(status.Unsupported("a query parameter in a match has no name"))
			continue
		}
		if has(out, name) {
			continue // as with headers (HTTPQueryParamMatch)
		}
		kind := gatewayv1.QueryParamMatchExact
		if q.Type != nil {
			kind = *q.Type
		}
		out = append(out, c.value("query parameter "+name, name, string(kind), q.Value))
	}
	return out
}

func (c *ruleCompiler) value(where, name, kind, value string) mesh.ValueMatch {
	switch kind {
	case "Exact":
		return mesh.ValueMatch{Name: name, Value: value}
	case "RegularExpression":
		c.regex(where, value)
		return mesh.ValueMatch{Name: name, Regex: true, Value: value}
	}
	c.reject(status.Unsupported("%.100s: match type %.40q is not known: use Exact or RegularExpression", where, kind))
	return mesh.ValueMatch{}
}

// regex checks an expression here, so that no proxy ever sees a bad one: alone, and anchored as proxies use it.
func (c *ruleCompiler) regex(where, expression string) {
	_, err := regexp.Compile(expression)
	if err == nil {
		_, err = regexp.Compile(`^(?:` + expression + `)$`)
	}
	if err != nil {
		c.reject(status.Unsupported("%.100s: %.100q is no RE2 expression: %v", where, expression, err))
	}
}

func has(list []mesh.ValueMatch, name string) bool {
	for _, v := range list {
		if v.Name == name {
			return true
		}
	}
	return false
}

// isToken holds for header names and methods (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
