// Package route decides which entry of a route table a request selects. A table is compiled once and only read after;
// matching is a function of the table and the request head.
package route

import (
	"fmt"
	"regexp"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// None is what Match returns when no entry matches; the answer is then 404 (GEP-1294).
const None = -1

// Table is a compiled config.RouteTable.
type Table struct {
	Config  *config.RouteTable
	entries []matcher
	index   *index // nil for short tables, which are faster to walk
	hosts   *hosts // nil: all entries are for any host
}

// indexFrom is the length from which an index pays: below, a walk costs less than hashing path elements.
const indexFrom = 24

// Compile prepares a table. The error names the entry; the table is then unusable as a whole.
func Compile(t *config.RouteTable) (*Table, error) {
	c := &Table{Config: t, entries: make([]matcher, len(t.Entries))}
	for i := range t.Entries {
		if err := c.entries[i].compile(&t.Entries[i].Match); err != nil {
			return nil, fmt.Errorf("route table %s, entry %d (%s): %w", t.Name, i, name(t.Entries[i].Action), err)
		}
	}
	if c.hosts = newHosts(t.Hosts, c.entries); c.hosts == nil && len(c.entries) >= indexFrom {
		c.index = newIndex(c.entries)
	}
	return c, nil
}

func name(a *config.Action) string {
	if a == nil {
		return "no action"
	}
	return fmt.Sprintf("%s %s/%s rule %s", a.Origin.Kind, a.Origin.Namespace, a.Origin.Name, a.Origin.Rule)
}

// Match returns the index of the first entry that matches, or None. It does not allocate, except where a regular
// expression meets a field that came in several lines or a query value with escapes.
func (t *Table) Match(r *msg.Request) int {
	if t.hosts != nil {
		if n := t.hosts.of(r); n != nil {
			return n.match(r)
		}
		return None
	}
	if t.index != nil {
		return t.index.match(t.entries, r)
	}
	for i := range t.entries {
		m := &t.entries[i]
		if m.path(r) && m.rest(r) {
			return i
		}
	}
	return None
}

// matcher is one compiled match.
type matcher struct {
	kind    config.PathKind
	value   string // prefix without trailing slashes, or exact path
	regex   *regexp.Regexp
	method  string
	headers []value
	query   []value
}

type value struct {
	name  string
	want  string
	regex *regexp.Regexp // nil: exact
}

func (m *matcher) compile(c *config.Match) (err error) {
	m.kind, m.value, m.method = c.PathKind, c.Path, c.Method
	switch c.PathKind {
	case config.PathAny, config.PathExact:
	case config.PathPrefix:
		m.value = trimSlashes(c.Path)
		if m.value == "" {
			m.kind = config.PathAny // the default match takes everything, "OPTIONS *" too
		}
	case config.PathRegex:
		if m.regex, err = full(c.Path); err != nil {
			return fmt.Errorf("path: %w", err)
		}
	default:
		return fmt.Errorf("unknown kind of path match %d", c.PathKind)
	}
	if m.headers, err = values(c.Headers); err != nil {
		return fmt.Errorf("header %w", err)
	}
	if m.query, err = values(c.Query); err != nil {
		return fmt.Errorf("query parameter %w", err)
	}
	return nil
}

func values(list []config.ValueMatch) ([]value, error) {
	out := make([]value, 0, len(list))
	for _, c := range list {
		v := value{name: c.Name, want: c.Value}
		if c.Regex {
			re, err := full(c.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			v.regex = re
		}
		out = append(out, v)
	}
	return out, nil
}

// full compiles an expression that must match the whole value.
func full(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return nil, err // before wrapping, so that "a)(b" is refused and the message shows what the user wrote
	}
	return regexp.Compile(`\A(?:` + expr + `)\z`)
}

// trimSlashes: a trailing slash of a prefix means nothing (Gateway API, PathMatchPathPrefix).
func trimSlashes(p string) string {
	for len(p) > 0 && p[len(p)-1] == '/' {
		p = p[:len(p)-1]
	}
	return p
}
