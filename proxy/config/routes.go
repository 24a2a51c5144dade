package config

import (
	"math"
	"regexp/syntax"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// decodeRoutes reads an envoy.config.route.v3.RouteConfiguration.
func decodeRoutes(name string, body []byte) (*RouteTable, error) {
	var t *RouteTable
	err := read(body, func(m *message) {
		t = decodeTable(m)
		if t.Name != name {
			m.fail("calls itself %q", t.Name)
		}
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// decodeTable reads a table: one virtual host for all authorities, or several by name, whatever the port.
func decodeTable(m *message) *RouteTable {
	t := &RouteTable{Name: m.text(1, "name")}
	known := map[string]bool{}
	for _, h := range m.subs(2, "virtual_hosts") {
		h.ignore(1) // name
		host := Host{Names: h.texts(2, "domains")}
		for _, name := range host.Names {
			if name != anyHost && !validServerName(name) {
				h.fail("field domains has %q, which is no host name in lower case, *. and one, or *", name)
			}
			if known[name] {
				h.fail("is another virtual host for %q", name)
			}
			known[name] = true
		}
		if len(host.Names) == 0 {
			h.fail("field domains is empty")
		}
		host.Filters = decodeListenerFilters(h)
		before := len(t.Entries)
		routes := h.subs(3, "routes")
		if len(host.Filters) > 0 {
			routes = routedOnly(h, routes)
		}
		for _, r := range routes {
			t.Entries = append(t.Entries, decodeRoute(r))
		}
		host.Entries = len(t.Entries) - before
		t.Hosts = append(t.Hosts, host)
		h.done()
	}
	portless := m.flag(14, "ignore_port_in_host_matching")
	switch {
	case len(t.Hosts) == 1 && len(t.Hosts[0].Names) == 1 && t.Hosts[0].Names[0] == anyHost && len(t.Hosts[0].Filters) == 0:
		t.Hosts = nil
	case len(t.Hosts) > 0 && !portless:
		m.fail("field ignore_port_in_host_matching is not set: this proxy looks at names alone")
	}
	m.done()
	return t
}

// anyHost is the name of a host that takes what no other does.
const anyHost = "*"

func decodeRoute(m *message) Entry {
	e := Entry{Match: decodeMatch(m.sub(1, "match")), Action: &Action{}}
	if !m.has(1) {
		m.fail("field match is missing")
	}
	m.ignore(14) // name
	a := e.Action
	md := m.filterMetadata(4)
	a.Origin = md.origin()
	a.CORS = decodeCORS(md[keyCORS])
	a.Persistence = decodePersistence(md[keyPersistence])
	decodePerFilter(m, 13, &a.ExternalAuth)
	a.RequestHeaders = decodeHeaders(m, 9, 12)
	a.ResponseHeaders = decodeHeaders(m, 10, 11)
	switch {
	case m.has(2):
		decodeForward(m.sub(2, "route"), e.Match, a, md[keyBackends])
	case m.has(3):
		a.Redirect = decodeRedirect(m.sub(3, "redirect"), e.Match)
	case m.has(7):
		direct := m.sub(7, "direct_response")
		a.Fail = decodeFailure(md[keyFail])
		if status := direct.number(1, "status"); a.Fail == nil || status != uint64(a.Fail.Status) {
			direct.fail("is not the failure in the metadata %s: this proxy supports no other", keyFail)
		}
		direct.done()
	default:
		m.fail("has no action that this proxy supports")
	}
	m.done()
	return e
}

// decodeCORS reads {origins, methods, headers, expose, credentials, max_age}; nil from nil.
func decodeCORS(o *object) *CORS {
	if o == nil {
		return nil
	}
	list := func(key string) []string {
		text := o.text(key)
		if text == "" {
			return nil
		}
		return strings.Split(text, ",")
	}
	c := &CORS{
		Origins: list("origins"), Methods: list("methods"), Headers: list("headers"), Expose: list("expose"),
		Credentials: o.flag("credentials"), MaxAge: o.count("max_age", math.MaxInt32),
	}
	o.done()
	return c
}

// decodeFailure reads {status, reason, message}; nil from nil.
func decodeFailure(o *object) *Failure {
	if o == nil {
		return nil
	}
	f := &Failure{Status: int(o.count("status", 599)), Reason: o.text("reason"), Message: o.text("message")}
	if f.Status < 400 {
		o.fail("status %d is not that of a failure", f.Status)
	}
	o.done()
	return f
}

func decodeMatch(m *message) Match {
	var to Match
	switch {
	case m.has(1):
		if p := m.text(1, "prefix"); p != "/" {
			m.fail("field prefix is %q: this proxy supports \"/\"; use path_separated_prefix", p)
		}
		to.PathKind = PathAny
	case m.has(2):
		to.PathKind, to.Path = PathExact, m.text(2, "path")
	case m.has(10):
		to.PathKind, to.Path = PathRegex, decodeRegex(m, 10, "safe_regex")
	case m.has(14):
		to.PathKind, to.Path = PathPrefix, m.text(14, "path_separated_prefix")
		if !strings.HasPrefix(to.Path, "/") || strings.HasSuffix(to.Path, "/") {
			m.fail("field path_separated_prefix is %q: it must begin with / and not end with it", to.Path)
		}
	default:
		m.fail("has no path specifier that this proxy supports")
	}
	for _, h := range m.subs(6, "headers") {
		v := decodeValue(h, 13)
		switch {
		case v.Name == ":method":
			if v.Regex || to.Method != "" {
				h.fail("this proxy supports one exact :method")
			}
			to.Method = v.Value
			continue
		case v.Name == ":authority":
			v.Name = "host"
		case strings.HasPrefix(v.Name, ":"):
			h.fail("this proxy does not match %s", v.Name)
		}
		v.Name = strings.ToLower(v.Name)
		to.Headers = append(to.Headers, v)
	}
	for _, q := range m.subs(7, "query_parameters") {
		to.Query = append(to.Query, decodeValue(q, 5))
	}
	m.done()
	return to
}

// decodeValue reads a HeaderMatcher or QueryParameterMatcher, which have string_match under different numbers.
func decodeValue(m *message, stringMatch protowire.Number) ValueMatch {
	v := ValueMatch{Name: m.text(1, "name")}
	s := m.sub(stringMatch, "string_match")
	switch {
	case s.has(1):
		v.Value = s.text(1, "exact")
	case s.has(5):
		v.Regex, v.Value = true, decodeRegex(s, 5, "safe_regex")
	default:
		m.fail("%s has no exact or safe_regex string_match", v.Name)
	}
	s.done()
	m.done()
	return v
}

// maxRegex bounds a pattern, as Kubernetes bounds the fields that patterns come from, generously.
const maxRegex = 8 << 10

func decodeRegex(m *message, number protowire.Number, label string) string {
	r := m.sub(number, label)
	pattern := r.text(2, "regex")
	r.done()
	if len(pattern) > maxRegex {
		m.fail("field %s is longer than %d bytes", label, maxRegex)
	} else if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		m.fail("field %s: %v", label, err)
	}
	return pattern
}

// Enum values of HeaderValueOption.HeaderAppendAction.
const (
	appendIfExistsOrAdd    = 0
	overwriteIfExistsOrAdd = 2
)

// decodeHeaders reads the HeaderValueOptions and names to remove under two numbers; nil when there are none.
func decodeHeaders(m *message, add, remove protowire.Number) *HeaderChange {
	c := &HeaderChange{}
	for _, option := range m.subs(add, "headers_to_add") {
		h := option.sub(1, "header")
		header := Header{Name: strings.ToLower(h.text(1, "key")), Value: literal(h, h.text(2, "value"))}
		h.done()
		switch action := option.number(3, "append_action"); {
		case header.Name == "":
			option.fail("field header.key is empty")
		case action == overwriteIfExistsOrAdd && len(c.Add) == 0:
			c.Set = append(c.Set, header)
		case action == appendIfExistsOrAdd:
			c.Add = append(c.Add, header)
		default:
			option.fail("field append_action %d is not supported by this proxy in this place", action)
		}
		option.ignore(4) // keep_empty_value: always kept
		option.done()
	}
	for _, name := range m.texts(remove, "headers_to_remove") {
		c.Remove = append(c.Remove, strings.ToLower(name))
	}
	if len(c.Set)+len(c.Add)+len(c.Remove) == 0 {
		return nil
	}
	return c
}

// literal takes the escape off a header value, in which % begins one of Envoy's commands.
func literal(m *message, value string) string {
	plain := strings.ReplaceAll(value, "%%", "")
	if strings.Contains(plain, "%") {
		m.fail("field value has a command: this proxy supports plain text")
	}
	return strings.ReplaceAll(value, "%%", "%")
}
