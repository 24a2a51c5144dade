package plan

import (
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/layer"
	"github.com/leno-mesh/leno/proxy/layer/cors"
	"github.com/leno-mesh/leno/proxy/layer/externalauth"
	"github.com/leno-mesh/leno/proxy/layer/headers"
	"github.com/leno-mesh/leno/proxy/layer/mirror"
	"github.com/leno-mesh/leno/proxy/layer/persistence"
	"github.com/leno-mesh/leno/proxy/layer/redirect"
	"github.com/leno-mesh/leno/proxy/layer/rewrite"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/route"
)

// Routes is a compiled route table with what each entry does.
type Routes struct {
	Table *route.Table
	rules []*Rule // one per entry of the table; shared between entries of one rule where they act alike
	// filters, by host of the table, are asked before entries are matched; nil where no host has any.
	filters [][]*externalauth.Policy
}

// Rule is a compiled config.Action as one entry sees it.
type Rule struct {
	Action *config.Action
	CORS   *cors.Policy // nil: none
	// ExternalAuth is asked before anything else is done; nil: nobody is.
	ExternalAuth *externalauth.Policy
	// Persistence keeps clients at an endpoint; nil: each request is on its own.
	Persistence *persistence.Policy

	Redirect *redirect.Redirect
	Backends []Backend
	// Response layers for answers that no backend made: redirects.
	Response []layer.Response

	choice route.Choice
}

// Backend is one destination of a rule with everything that happens on the way to it and back.
type Backend struct {
	Cluster  string
	Fail     *config.Failure
	Redirect *redirect.Redirect
	Request  []layer.Request
	Response []layer.Response
	Mirrors  []mirror.Mirror
}

// compose puts the layers of one backend in order. This is the only place that knows it.
func compose(a *config.Action, b *config.Backend, matched string) Backend {
	out := Backend{Cluster: b.Cluster, Fail: b.Fail, Redirect: redirect.Compile(b.Redirect, matched)}

	// The rule's header change comes first, so that the backend's, which is more specific, has the last word.
	out.Request = appendRequest(out.Request, headers.Compile(a.RequestHeaders))
	out.Request = appendRequest(out.Request, headers.Compile(b.RequestHeaders))
	// Rewriting comes after header changes: a hostname rewrite wins over a set Host header, and it works on the path
	// that was matched. Rule and backend rewrites are one, part by part, since both speak of the matched path.
	if w := rewrite.Compile(mergeRewrites(a.Rewrite, b.Rewrite), matched); w != nil {
		out.Request = append(out.Request, w)
	}
	// Mirrors get what the backend gets, so they come after all of the above.
	out.Mirrors = append(mirror.Compile(a.Mirrors), mirror.Compile(b.Mirrors)...)
	// Responses pass the same way as requests, rule before backend: specific things win here too.
	out.Response = appendResponse(out.Response, headers.Compile(a.ResponseHeaders))
	out.Response = appendResponse(out.Response, headers.Compile(b.ResponseHeaders))
	return out
}

func mergeRewrites(rule, backend *config.Rewrite) *config.Rewrite {
	if rule == nil || backend == nil {
		if rule == nil {
			return backend
		}
		return rule
	}
	merged := *rule
	if backend.Hostname != "" {
		merged.Hostname = backend.Hostname
	}
	if backend.Path != nil {
		merged.Path = backend.Path
	}
	return &merged
}

// appendRequest and appendResponse leave out layers that are not configured.
func appendRequest(list []layer.Request, c *headers.Change) []layer.Request {
	if c == nil {
		return list
	}
	return append(list, c)
}

func appendResponse(list []layer.Response, c *headers.Change) []layer.Response {
	if c == nil {
		return list
	}
	return append(list, c)
}

// nextRoutes compiles t, or keeps prev when t is the same or cannot be compiled.
func nextRoutes(prev *Routes, t *config.RouteTable) (*Routes, error) {
	if prev != nil && prev.Table != nil && prev.Table.Config == t {
		return prev, nil
	}
	table, err := route.Compile(t)
	if err != nil {
		if prev == nil {
			prev = broken(err.Error())
		}
		return prev, err
	}
	// Entries of one rule differ by what they matched, which matters only where a prefix is replaced.
	type key struct {
		action  *config.Action
		matched string
	}
	known := map[key]*Rule{}
	r := &Routes{Table: table, rules: make([]*Rule, len(t.Entries))}
	for i := range t.Entries {
		e := &t.Entries[i]
		k := key{action: e.Action}
		if e.Match.PathKind == config.PathPrefix && replacesPrefix(e.Action) {
			k.matched = e.Match.Path
		}
		rule := known[k]
		if rule == nil {
			rule = newRule(e.Action, k.matched)
			known[k] = rule
		}
		r.rules[i] = rule
	}
	for i := range t.Hosts {
		for _, f := range t.Hosts[i].Filters {
			if r.filters == nil {
				r.filters = make([][]*externalauth.Policy, len(t.Hosts))
			}
			r.filters[i] = append(r.filters[i], externalauth.Compile(f))
		}
	}
	return r, nil
}

// replacesPrefix tells whether what a does depends on the prefix that an entry matched.
func replacesPrefix(a *config.Action) bool {
	if a == nil {
		return false
	}
	redirects, rewrites := []*config.Redirect{a.Redirect}, []*config.Rewrite{a.Rewrite}
	for i := range a.Backends {
		redirects = append(redirects, a.Backends[i].Redirect)
		rewrites = append(rewrites, a.Backends[i].Rewrite)
	}
	for i := range redirects {
		if r := redirects[i]; r != nil && r.Path != nil && r.Path.Prefix != nil {
			return true
		}
		if w := rewrites[i]; w != nil && w.Path != nil && w.Path.Prefix != nil {
			return true
		}
	}
	return false
}

func newRule(a *config.Action, matched string) *Rule {
	if a == nil {
		a = &config.Action{Fail: &config.Failure{Status: 500, Reason: "the entry has no action"}}
	}
	r := &Rule{
		Action: a, CORS: cors.Compile(a.CORS), ExternalAuth: externalauth.Compile(a.ExternalAuth), Persistence: persistence.Compile(a.Persistence),
		Redirect: redirect.Compile(a.Redirect, matched), Backends: make([]Backend, len(a.Backends)),
	}
	weights := make([]uint32, len(a.Backends))
	for i := range a.Backends {
		r.Backends[i] = compose(a, &a.Backends[i], matched)
		weights[i] = a.Backends[i].Weight
	}
	r.choice = route.NewChoice(weights)
	r.Response = appendResponse(nil, headers.Compile(a.ResponseHeaders))
	return r
}

// broken stands for a table that cannot be used: every request is answered with 500.
func broken(reason string) *Routes {
	t := &config.RouteTable{Entries: []config.Entry{{Action: &config.Action{
		Fail: &config.Failure{Status: 500, Reason: reason}}}}}
	table, err := route.Compile(t)
	if err != nil {
		panic("a table that matches everything must compile: " + err.Error())
	}
	return &Routes{Table: table, rules: []*Rule{newRule(t.Entries[0].Action, "")}}
}

// Filters are who is asked about a request, in this order, before Match; it is the host that says so, which none of them changes.
func (r *Routes) Filters(req *msg.Request) []*externalauth.Policy {
	if r.filters == nil {
		return nil
	}
	if i := r.Table.Host(req); i != route.None {
		return r.filters[i]
	}
	return nil
}

// Match finds the rule for a request; nil: none, the answer is 404.
func (r *Routes) Match(req *msg.Request) *Rule {
	i := r.Table.Match(req)
	if i == route.None {
		return nil
	}
	return r.rules[i]
}

// Connect finds the rule for a CONNECT request: one that names the method. A rule for any method is not meant for tunnels.
func (r *Routes) Connect(req *msg.Request) *Rule {
	i := r.Table.Match(req)
	if i == route.None || r.Table.Config.Entries[i].Match.Method != "CONNECT" {
		return nil
	}
	return r.rules[i]
}

// Choose picks a backend by weight; nil when the rule has none with a weight.
func (r *Rule) Choose(random route.Random) *Backend {
	i := r.choice.Pick(random)
	if i == route.None {
		return nil
	}
	return &r.Backends[i]
}
