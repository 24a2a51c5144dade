//go:build differential

package differential

import (
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// call is a request in parts, from which variants are made.
type call struct {
	method, path, query, host string
	fields                    []string
}

func (c call) with(fields ...string) call {
	c.fields = append(append([]string(nil), c.fields...), fields...)
	return c
}

func (c call) raw() string {
	target := c.path
	if c.query != "" {
		target += "?" + c.query
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.method, target, c.host)
	for _, f := range c.fields {
		b.WriteString(f + "\r\n")
	}
	if c.method == "POST" {
		b.WriteString("Content-Length: 4\r\n\r\nbody")
	} else {
		b.WriteString("\r\n")
	}
	return b.String()
}

// variant is a call that differs from one that meets a match in what its name says.
type variant struct {
	name string
	call call
}

// requests makes the requests for a destination: for each entry of its table one that meets the match, and those that miss it
// or meet it by a little.
func (u *union) requests(d *destination) []*request {
	var out []*request
	known := map[string]bool{}
	for i, e := range d.table.Entries {
		list := variants(e.Match, d.port.Name.Name)
		if e.Rule.Filters.CORS != nil {
			list = append(list, origins(list[0].call)...)
		}
		if e.Rule.Filters.ExternalAuth != nil {
			list = append(list, questions(list[0].call)...)
		}
		for n, v := range list {
			raw := v.call.raw()
			if known[raw] {
				continue
			}
			known[raw] = true
			r := &request{name: fmt.Sprintf("%s/entry %d %s", d.name, i, v.name), to: d, raw: raw}
			if n == 0 && d.spread && len(e.Rule.Backends) > 1 {
				r.share = 100
			}
			out = append(out, r)
			if n == 0 && u.keeps(e.Rule) {
				session := &request{name: fmt.Sprintf("%s/entry %d session", d.name, i), to: d, raw: raw, session: true}
				out = append(out, session)
			}
		}
	}
	return out
}

func variants(m mesh.Match, host string) []variant {
	base := meets(m, host)
	out := []variant{{"met", base}}
	add := func(name string, change func(*call)) {
		c := base.with()
		change(&c)
		out = append(out, variant{name, c})
	}
	paths(m.Path, base.path, add)
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "DELETE", "PURGE"} {
		add("method "+method, func(c *call) { c.method = method })
	}
	for _, h := range [][2]string{{"port", host + ":80"}, {"upper case", strings.ToUpper(host)}, {"other port", host + ":8080"},
		{"name in full", host + ".shop.svc.cluster.local"}, {"other", "example.org"}, {"dot", host + "."}, {"IPv6", "[::1]:80"}} {
		add("host "+h[0], func(c *call) { c.host = h[1] })
	}
	for i, h := range m.Headers {
		fields(i, h.Name, add)
	}
	for i, q := range m.Query {
		parameters(i, q.Name, add)
	}
	add("other query", func(c *call) { c.query = strings.TrimPrefix(c.query+"&x=1&y=%2F+z&&=&a", "&") })
	add("served by", func(c *call) { *c = c.with("X-Answer: served-by") })
	add("fields that filters change", func(c *call) {
		*c = c.with("X-Gone: 1", "X-Set: client", "x-set: again", "X-Add: client", "X-Header-Set: client", "X-Header-Add: client",
			"X-Header-Remove: client", "x-header-remove-1: 1", "X-Header-Remove-2: 2", "X-Header-Add-1: a", "X-Backend: client")
	})
	return out
}

// origins are requests as browsers send them from pages of several origins, and what they ask before.
func origins(base call) []variant {
	var out []variant
	for _, origin := range []string{
		"https://shop.example", "https://shop.example:443", "http://shop.example", "http://shop.example:8080", "http://a.b.shop.example",
		"http://xshop.example", "https://other.example:12345", "null", "",
	} {
		from := base.with("Origin: " + origin)
		preflight := from.with("Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-header-1, x-header-2")
		preflight.method = "OPTIONS"
		bare := from.with("Access-Control-Request-Method: GET")
		bare.method = "OPTIONS"
		out = append(out, variant{"from " + origin, from}, variant{"preflight from " + origin, preflight}, variant{"bare preflight from " + origin, bare})
	}
	return out
}

// questions are requests about which an authorization server is told this or that, or which it refuses.
func questions(base call) []variant {
	fields := base.with("Authorization: me", "Cookie: a=1", "Cookie: b=2", "X-Other: o")
	post := fields
	post.method = "POST"
	return []variant{
		{"refused", base.with("X-Answer: 404")}, {"failing", base.with("X-Answer: 500")}, {"allowed, with headers", base.with("X-Answer: served-by")},
		{"told", fields}, {"told, with body", post},
	}
}

// meets is a call that meets all of a match.
func meets(m mesh.Match, host string) call {
	c := call{method: "GET", path: m.Path.Value, host: host}
	if m.Method != "" {
		c.method = m.Method
	}
	if m.Path.Kind == mesh.PathRegex {
		c.path = sample(m.Path.Value)
	}
	if !strings.HasPrefix(c.path, "/") {
		c.path = "/" + c.path
	}
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, "host") {
			c.host = value(h)
			continue
		}
		c.fields = append(c.fields, h.Name+": "+value(h))
	}
	var query []string
	for _, q := range m.Query {
		query = append(query, q.Name+"="+value(q))
	}
	c.query = strings.Join(query, "&")
	return c
}

func value(v mesh.ValueMatch) string {
	if v.Regex {
		return sample(v.Value)
	}
	return v.Value
}

// paths are paths beside one that is met.
func paths(m mesh.PathMatch, path string, add func(string, func(*call))) {
	trimmed := strings.TrimRight(path, "/")
	for _, p := range [][2]string{
		{"path slash", trimmed + "/"}, {"path two slashes", trimmed + "//"}, {"path element", trimmed + "/x"}, {"path elements", trimmed + "/x/y"},
		{"path longer", path + "x"}, {"path shorter", path[:max(1, len(path)-1)]}, {"path upper case", strings.ToUpper(path)},
		{"path root", "/"}, {"path other", "/elsewhere"}, {"path slash in front", "/" + path}, {"path escaped slash", trimmed + "%2Fx"},
		{"path dot", trimmed + "/./x"}, {"path dots", trimmed + "/../x"}, {"path dots in", "/x/.." + path}, {"path parameter", path + ";p=1"},
		{"path escaped", escapeFirst(path)}, {"path escaped lower", strings.ToLower(escapeFirst(path))}, {"path space", trimmed + "/a%20b"},
		{"path question mark", path + "?"}, {"path double slash in", trimmed + "//x"}, {"path bare", trimmed}, {"path broken escape", trimmed + "/%zz"},
		{"path backslash", trimmed + "\\x"},
	} {
		if p[1] != "" {
			add(p[0], func(c *call) { c.path = p[1] })
		}
	}
	if m.Kind == mesh.PathRegex {
		add("path regex prefixed", func(c *call) { c.path = "/x" + path })
	}
}

// escapeFirst writes the first letter behind the slash as an escape.
func escapeFirst(path string) string {
	if len(path) < 2 {
		return path
	}
	return path[:1] + "%" + strings.ToUpper(strconv.FormatUint(uint64(path[1]), 16)) + path[2:]
}

// fields are variants of one header field.
func fields(i int, name string, add func(string, func(*call))) {
	if strings.EqualFold(name, "host") {
		return
	}
	edit := func(what string, change func(value string) []string) {
		add(fmt.Sprintf("header %d %s", i, what), func(c *call) {
			var out []string
			for _, f := range c.fields {
				n, v, _ := strings.Cut(f, ": ")
				if strings.EqualFold(n, name) {
					out = append(out, change(v)...)
				} else {
					out = append(out, f)
				}
			}
			c.fields = out
		})
	}
	edit("absent", func(string) []string { return nil })
	edit("empty", func(string) []string { return []string{name + ":"} })
	edit("longer", func(v string) []string { return []string{name + ": " + v + "x"} })
	edit("upper case", func(v string) []string { return []string{name + ": " + strings.ToUpper(v)} })
	edit("name in upper case", func(v string) []string { return []string{strings.ToUpper(name) + ": " + v} })
	edit("padded", func(v string) []string { return []string{name + ": \t " + v + " \t"} })
	edit("without space", func(v string) []string { return []string{name + ":" + v} })
	edit("twice", func(v string) []string { return []string{name + ": " + v, name + ": " + v} })
	edit("other first", func(v string) []string { return []string{name + ": other", name + ": " + v} })
	edit("other last", func(v string) []string { return []string{name + ": " + v, strings.ToLower(name) + ": other"} })
	edit("list", func(v string) []string { return []string{name + ": " + v + ", " + v} })
}

// parameters are variants of one query parameter.
func parameters(i int, name string, add func(string, func(*call))) {
	edit := func(what string, change func(value string) string) {
		add(fmt.Sprintf("query %d %s", i, what), func(c *call) {
			var out []string
			for pair := range strings.SplitSeq(c.query, "&") {
				if n, v, _ := strings.Cut(pair, "="); n == name {
					pair = change(v)
				}
				if pair != "" {
					out = append(out, pair)
				}
			}
			c.query = strings.Join(out, "&")
		})
	}
	edit("absent", func(string) string { return "" })
	edit("empty", func(string) string { return name + "=" })
	edit("without value", func(string) string { return name })
	edit("longer", func(v string) string { return name + "=" + v + "x" })
	edit("twice", func(v string) string { return name + "=" + v + "&" + name + "=" + v })
	edit("other first", func(v string) string { return name + "=other&" + name + "=" + v })
	edit("other last", func(v string) string { return name + "=" + v + "&" + name + "=other" })
	edit("name in other case", func(v string) string { return strings.ToUpper(name) + "=" + v })
	edit("value in other case", func(v string) string { return name + "=" + strings.ToUpper(v) })
	edit("escaped value", func(v string) string { return name + "=" + escapeFirst(" " + v)[1:] })
	edit("escaped name", func(v string) string { return escapeFirst(" " + name)[1:] + "=" + v })
	edit("plus", func(v string) string { return name + "=" + v + "+" })
	edit("semicolon", func(v string) string { return "x;" + name + "=" + v })
	edit("two equal signs", func(v string) string { return name + "==" + v })
	add(fmt.Sprintf("query %d others around", i), func(c *call) { c.query = "first=1&" + c.query + "&last=2" })
	add(fmt.Sprintf("query %d reversed", i), func(c *call) {
		pairs := strings.Split(c.query, "&")
		for i, j := 0, len(pairs)-1; i < j; i, j = i+1, j-1 {
			pairs[i], pairs[j] = pairs[j], pairs[i]
		}
		c.query = strings.Join(pairs, "&")
	})
}

// sample is a short text that an expression matches.
func sample(pattern string) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return pattern
	}
	var b strings.Builder
	write(&b, re.Simplify())
	return b.String()
}

func write(b *strings.Builder, re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			b.WriteRune(max(re.Rune[0], '0'))
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('q')
	case syntax.OpCapture, syntax.OpPlus:
		write(b, re.Sub[0])
	case syntax.OpStar, syntax.OpQuest:
		write(b, re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			write(b, sub)
		}
	case syntax.OpAlternate:
		write(b, re.Sub[0])
	default: // anchors and empty matches add nothing
	}
}
