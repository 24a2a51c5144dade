// Package cors tells browsers which origins may use what comes from a route (Fetch standard, "CORS protocol"; Gateway API
// HTTPCORSFilter).
package cors

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// Policy is a compiled config.CORS.
type Policy struct {
	any         bool // origin
	origins     []pattern
	credentials bool
	methods     []byte // nil: whichever is asked for
	headers     []byte // nil: whichever are asked for
	expose      []byte
	age         []byte
}

// pattern is a set of origins.
type pattern struct {
	scheme, host, port string
	suffix             bool // host is the end of the hosts that are meant
}

// Compile prepares c; nil for nil.
func Compile(c *config.CORS) *Policy {
	if c == nil {
		return nil
	}
	p := &Policy{credentials: c.Credentials, age: strconv.AppendUint(nil, uint64(c.MaxAge), 10)}
	for _, text := range c.Origins {
		if text == "*" {
			p.any = true
			continue
		}
		one := parse(strings.ToLower(text))
		one.host, one.suffix = strings.TrimPrefix(one.host, "*"), strings.HasPrefix(one.host, "*")
		p.origins = append(p.origins, one)
	}
	list := func(items []string) []byte {
		if len(items) == 1 && items[0] == "*" {
			return nil
		}
		return []byte(strings.Join(items, ", "))
	}
	p.methods, p.headers, p.expose = list(c.Methods), list(c.Headers), list(c.Expose)
	if p.expose == nil && !c.Credentials {
		p.expose = []byte("*") // with credentials it would be a name like any other
	}
	return p
}

// parse takes an origin apart. Without a port it has that of its scheme.
func parse(origin string) pattern {
	scheme, rest, _ := strings.Cut(origin, "://")
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		host, port = rest[:i], rest[i+1:]
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return pattern{scheme: scheme, host: host, port: port}
}

// allows tells whether an origin is one of those that the policy is for. "null" is none.
func (p *Policy) allows(origin []byte) bool {
	if p.any {
		return true
	}
	o := parse(strings.ToLower(string(origin)))
	for _, a := range p.origins {
		if a.scheme == o.scheme && a.port == o.port && (a.host == o.host || a.suffix && strings.HasSuffix(o.host, a.host)) {
			return true
		}
	}
	return false
}

// Answer is what one request of a browser is told.
type Answer struct {
	policy                  *Policy
	origin, method, headers []byte // as asked for; origin nil: not allowed
}

var (
	allowOrigin      = []byte("access-control-allow-origin")
	allowCredentials = []byte("access-control-allow-credentials")
	allowMethods     = []byte("access-control-allow-methods")
	allowHeaders     = []byte("access-control-allow-headers")
	exposeHeaders    = []byte("access-control-expose-headers")
	maxAge           = []byte("access-control-max-age")
	vary             = []byte("vary")
	yes              = []byte("true")
	star             = []byte("*")
	originName       = []byte("Origin")
)

// Check looks at a request. preflight tells that a browser asks first whether it may make one, which the policy answers; otherwise the
// answer, if there is one, is added to the backend's.
func (p *Policy) Check(req *msg.Request) (a *Answer, preflight bool) {
	origin, ok := req.Fields.Get("origin")
	if !ok {
		return nil, false
	}
	method, asks := req.Fields.Get("access-control-request-method")
	preflight = asks && string(req.Method) == "OPTIONS"
	allowed := p.allows(origin)
	if !allowed && !preflight {
		return nil, false
	}
	a = &Answer{policy: p}
	if allowed {
		headers, _ := req.Fields.Get("access-control-request-headers")
		a.origin, a.method, a.headers = bytes.Clone(origin), bytes.Clone(method), bytes.Clone(headers)
	}
	return a, preflight
}

// Response tells the browser that the origin may see the response. What the backend says of that is replaced.
func (a *Answer) Response(r *msg.Response) {
	p := a.policy
	if p.any && !p.credentials {
		r.Fields.Set("access-control-allow-origin", allowOrigin, star)
	} else {
		r.Fields.Set("access-control-allow-origin", allowOrigin, a.origin)
		r.Fields.Add(vary, originName)
	}
	if p.credentials {
		r.Fields.Set("access-control-allow-credentials", allowCredentials, yes)
	}
	if len(p.expose) > 0 {
		r.Fields.Set("access-control-expose-headers", exposeHeaders, p.expose)
	}
}

// Preflight is the answer to a browser that asks first. For an origin that is not allowed it says nothing, which is a no.
func (a *Answer) Preflight(r *msg.Response) {
	if a.origin == nil {
		return
	}
	p := a.policy
	a.Response(r)
	put := func(name, configured, asked []byte) {
		if configured == nil {
			configured = asked
		}
		if len(configured) > 0 {
			r.Fields.Add(name, configured)
		}
	}
	put(allowMethods, p.methods, a.method)
	put(allowHeaders, p.headers, a.headers)
	r.Fields.Add(maxAge, p.age)
}
