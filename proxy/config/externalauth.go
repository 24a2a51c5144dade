package config

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// ExternalAuth asks an authorization server whether a request may pass (HTTPExternalAuthFilter).
type ExternalAuth struct {
	Cluster string
	// GRPC asks in Envoy's ext_authz protocol; else the question is a request with the method and path of the one in question.
	GRPC bool
	// Authority is the server's name, for questions that have no host of their own.
	Authority string
	// PathPrefix goes in front of the path (HTTP); it is empty or begins with a slash.
	PathPrefix string
	// RequestHeaders are told to the server, in lower case. Empty: all of them (GRPC), or those only that always are (HTTP).
	RequestHeaders []string
	// ResponseHeaders of the server's yes are copied to the request, in lower case (HTTP); empty: all that are not about that
	// answer itself.
	ResponseHeaders []string
	// MaxBody is the longest request body that is told to the server, in bytes; 0: no body is told.
	MaxBody uint32
	Timeout time.Duration
}

const (
	// MaxAuthRefusal is the most of the body of a server's refusal that is passed on.
	MaxAuthRefusal = 64 << 10
	// authUnavailable is the status of requests that no server has decided about.
	authUnavailable = 503
)

// The filter of each connection manager that asks authorization servers, and what is in it: a composite filter, for which a route
// has a whole ext_authz filter.
const (
	externalAuthName = "dev.leno.externalauth"
	composite        = "envoy.extensions.filters.http.composite.v3.Composite"
	compositeRoute   = "envoy.extensions.filters.http.composite.v3.CompositePerRoute"
	compositeAction  = "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction"
	extAuthz         = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
)

// Header names that no server changes, as a pattern: those that frame the request; and, where all of the server's are copied, those
// that are about its own answer.
const (
	authFramed = "content-length|" + authHop
	authOwn    = "content-.*|" + authHop
	authHop    = "connection|expect|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade"
	anyField   = "[^:].*"
)

// decodePerFilter reads the typed_per_filter_config of a route, which may ask an authorization server, or of a backend, which may not:
// auth is nil. How sessions are kept stands in metadata, and there in Envoy's words.
func decodePerFilter(m *message, number protowire.Number, auth **ExternalAuth) {
	for _, entry := range m.subs(number, "typed_per_filter_config") {
		key := entry.text(1, "key")
		kind, value := entry.anything(2, "value")
		entry.done()
		switch {
		case key == statefulSession && kind == statefulSessionRoute:
		case key == externalAuthName && kind == compositeRoute && auth != nil && *auth == nil:
			*auth = decodeExternalAuth(entry, value, false)
		default:
			entry.fail("is %q of type %q, which this proxy does not support", key, kind)
		}
	}
}

// decodeExternalAuth reads a CompositePerRoute that has the one filter, from an entry of a map. early tells that routes are matched
// after it.
func decodeExternalAuth(entry, route *message, early bool) *ExternalAuth {
	matcher := route.sub(1, "matcher")
	none := matcher.sub(3, "on_no_match")
	action := none.sub(2, "action").typed(2, compositeAction)
	filter := action.sub(1, "typed_config").typed(2, extAuthz)
	if again := filter.flag(6, "clear_route_cache"); again != early {
		filter.fail("field clear_route_cache is %t: this proxy matches routes once", again)
	}
	a := decodeExtAuthz(filter)
	for _, part := range []*message{action, none, matcher, route} {
		part.done()
	}
	if a.Cluster == "" || a.Timeout == 0 {
		entry.fail("names no cluster to ask, or no time for the answer")
	}
	return a
}

func decodeExtAuthz(m *message) *ExternalAuth {
	a := &ExternalAuth{RequestHeaders: decodeNames(m.sub(17, "allowed_headers"))}
	if body := m.sub(5, "with_request_body"); body != nil {
		most := body.number(1, "max_request_bytes")
		if most == 0 || most > math.MaxInt32 {
			body.fail("field max_request_bytes %d is not supported by this proxy", most)
		}
		a.MaxBody = uint32(most)
		body.ignore(3) // pack_as_bytes: always, in ext_authz
		body.done()
	}
	onError := m.sub(7, "status_on_error")
	if status := onError.number(1, "code"); status != authUnavailable {
		m.fail("field status_on_error is %d: this proxy answers %d", status, authUnavailable)
	}
	onError.done()
	if most := m.number(30, "max_denied_response_body_bytes"); most != MaxAuthRefusal {
		m.fail("field max_denied_response_body_bytes is %d: this proxy passes on %d", most, MaxAuthRefusal)
	}
	m.ignore(
		12, // transport_api_version
		24, // validate_mutations: always
	)
	rules := m.sub(26, "decoder_header_mutation_rules")
	kept := decodeRegex(rules, 6, "disallow_expression")
	rules.done()
	want := authFramed
	switch {
	case m.has(1):
		decodeAuthGRPC(m.sub(1, "grpc_service"), a)
	case m.has(3):
		decodeAuthHTTP(m.sub(3, "http_service"), a)
		if len(a.ResponseHeaders) == 0 {
			want = authOwn
		}
	default:
		m.fail("has no service that this proxy supports")
	}
	if kept != want {
		m.fail("field decoder_header_mutation_rules.disallow_expression is %q: this proxy supports %q there", kept, want)
	}
	m.done()
	return a
}

func decodeAuthGRPC(m *message, a *ExternalAuth) {
	a.GRPC = true
	a.Timeout = m.duration(3, "timeout")
	envoy := m.sub(1, "envoy_grpc")
	a.Cluster, a.Authority = envoy.text(1, "cluster_name"), envoy.text(2, "authority")
	envoy.done()
	m.done()
}

func decodeAuthHTTP(m *message, a *ExternalAuth) {
	server := m.sub(1, "server_uri")
	a.Cluster, a.Timeout = server.text(2, "cluster"), server.duration(3, "timeout")
	a.Authority = strings.TrimPrefix(server.text(1, "uri"), "http://")
	server.done()
	if a.PathPrefix = m.text(2, "path_prefix"); a.PathPrefix != "" && !strings.HasPrefix(a.PathPrefix, "/") {
		m.fail("field path_prefix is %q: it must begin with /", a.PathPrefix)
	}
	response := m.sub(8, "authorization_response")
	a.ResponseHeaders = decodeNames(response.sub(1, "allowed_upstream_headers"))
	response.done()
	m.done()
}

// decodeNames reads a ListStringMatcher of exact names; nil where it is absent or matches any name.
func decodeNames(m *message) []string {
	var names []string
	patterns := m.subs(1, "patterns")
	for _, p := range patterns {
		if p.has(5) && len(patterns) == 1 {
			if pattern := decodeRegex(p, 5, "safe_regex"); pattern != anyField {
				p.fail("field safe_regex is %q: this proxy supports %q there", pattern, anyField)
			}
		} else if name := p.text(1, "exact"); name == "" || name != strings.ToLower(name) {
			p.fail("field exact is %q: it must be a header name in lower case", name)
		} else {
			names = append(names, name)
		}
		p.done()
	}
	m.done()
	return names
}
