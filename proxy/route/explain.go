package route

import (
	"fmt"
	"strings"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

// Explanation tells why a request selects an entry, or none.
type Explanation struct {
	// Chosen is the index of the entry, or None.
	Chosen int
	// Origin is where the chosen entry comes from; zero for None.
	Origin config.Origin
	// Host names the part of the table that is for the request's host, "*.example.com"; empty where the table has no parts, or
	// none for the host.
	Host string
	// Filters are asked, in this order, before anything of the rest happens.
	Filters []*config.ExternalAuth
	// Steps are the entries that were looked at, in order, up to the chosen one.
	Steps []Step
}

// Step is one entry that was looked at.
type Step struct {
	Entry   int
	Origin  config.Origin
	Matched bool
	Reason  string // why not, in words; empty where Matched
}

// Explain does what Match does, with reasons.
func (t *Table) Explain(r *msg.Request) Explanation {
	e := Explanation{Chosen: None}
	first, end := 0, len(t.entries)
	if t.hosts != nil {
		first, end = 0, 0
		if h := t.hosts.index(r); h != None {
			n, host := &t.hosts.runs[h], &t.Config.Hosts[h]
			first, end = n.first, n.first+len(n.entries)
			e.Host, e.Filters = strings.Join(host.Names, " "), host.Filters
		}
	}
	for i := first; i < end; i++ {
		s := Step{Entry: i}
		if a := t.Config.Entries[i].Action; a != nil {
			s.Origin = a.Origin
		}
		s.Reason = t.entries[i].reason(r, &t.Config.Entries[i].Match)
		s.Matched = s.Reason == ""
		e.Steps = append(e.Steps, s)
		if s.Matched {
			e.Chosen, e.Origin = i, s.Origin
			break
		}
	}
	return e
}

// reason says in words what keeps the entry from matching.
func (m *matcher) reason(r *msg.Request, c *config.Match) string {
	if !m.path(r) {
		return fmt.Sprintf("path %q is not %s %q", r.Path, pathKinds[c.PathKind], c.Path)
	}
	if !m.methodIs(r) {
		return fmt.Sprintf("method %s is not %s", r.Method, m.method)
	}
	for i := range m.headers {
		if v := &m.headers[i]; !v.header(r) {
			return fmt.Sprintf("header %s does not %s %q", v.name, v.verb(), v.want)
		}
	}
	for i := range m.query {
		if v := &m.query[i]; !v.query(r) {
			return fmt.Sprintf("query parameter %s does not %s %q", v.name, v.verb(), v.want)
		}
	}
	return ""
}

func (v *value) verb() string {
	if v.regex != nil {
		return "match"
	}
	return "equal"
}

var pathKinds = map[config.PathKind]string{
	config.PathAny: "any path", config.PathPrefix: "under", config.PathExact: "exactly", config.PathRegex: "matched by",
}
