package graph

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// failStatus answers requests that meet a configuration mistake (HTTPRouteRule, "backendRefs").
const failStatus = 500

// ruleCompiler reads one rule and collects what is wrong with it.
type ruleCompiler struct {
	route      *route
	role       role
	refs       *references
	label      string
	invalid    []status.Problem
	references []status.Problem
	// closed is a reference without which no request of the rule may pass.
	closed *status.Problem
}

// compile reads the rules of a route. A rule that is wrong stays, and answers 500: were it taken out, its requests would
// fall through to rules that their author did not choose.
func compile(r *route, as role, refs *references) *ruleSet {
	rules := r.rules
	if len(rules) == 0 {
		rules = []gatewayv1.HTTPRouteRule{{}} // the default of the API: everything matches
	}
	set := &ruleSet{rules: len(rules)}
	names := map[gatewayv1.SectionName]bool{}
	for i, rule := range rules {
		c := &ruleCompiler{route: r, role: as, refs: refs, label: ruleLabel(i, rule)}
		if rule.Name != nil && *rule.Name != "" {
			if names[*rule.Name] {
				c.reject(status.Unsupported("another rule has the same name: give each its own"))
			}
			names[*rule.Name] = true
		}
		compiled, matches := c.rule(i, rule)
		for j, match := range matches {
			e := entry{Entry: mesh.Entry{Match: match, Rule: compiled}, route: r, rule: i, match: j}
			if r.kind == "GRPCRoute" {
				of := r.calls[place{i, j}]
				e.call = &of
			}
			set.entries = append(set.entries, e)
		}
		if len(c.invalid) > 0 {
			set.invalid++
			set.problems = append(set.problems, c.invalid...)
		}
		set.references = append(set.references, c.references...)
	}
	return set
}

// from is who refers to backends.
func (c *ruleCompiler) from() from { return from{c.route.kind, c.route.name.Namespace, c.role} }

// reject makes the whole rule invalid.
func (c *ruleCompiler) reject(p status.Problem) { c.invalid = append(c.invalid, p.In(c.label)) }

// rule compiles one rule, and the matches that select it.
func (c *ruleCompiler) rule(index int, rule gatewayv1.HTTPRouteRule) (*mesh.Rule, []mesh.Match) {
	origin := mesh.Origin{
		Kind: c.route.kind, Namespace: c.route.name.Namespace, Name: c.route.name.Name,
		Rule: strconv.Itoa(index), Generation: c.route.generation,
	}
	if rule.Name != nil && *rule.Name != "" {
		origin.Rule = string(*rule.Name)
	}
	matches := c.matches(rule.Matches)
	out := &mesh.Rule{
		Origin:   origin,
		Filters:  c.filters(rule.Filters, c.reject),
		Backends: c.backends(rule.BackendRefs),
	}
	out.Timeout, out.BackendTimeout = c.timeouts(rule.Timeouts)
	out.Retry = c.retry(rule.Retry)
	//nolint:staticcheck // deprecated (GEP-4894), but there
	out.Persistence = persistence(rule.SessionPersistence, sessionOwner(origin), c.reject)
	c.checkPrefixes(out, matches)
	why := c.closed
	if len(c.invalid) > 0 {
		why = &c.invalid[0]
	}
	if why != nil {
		return &mesh.Rule{
			Origin: origin, Fail: &mesh.Failure{Status: failStatus, Reason: why.Reason, Message: why.Text},
		}, matches
	}
	return out, matches
}

// sessionOwner names a rule as the owner of its sessions.
func sessionOwner(o mesh.Origin) string {
	return strings.Join([]string{o.Kind, o.Namespace, o.Name, o.Rule}, "/")
}

// checkPrefixes holds a rule to HTTPPathModifier: a prefix can be replaced only where a prefix was matched.
func (c *ruleCompiler) checkPrefixes(rule *mesh.Rule, matches []mesh.Match) {
	replaced := replacesPrefix(rule.Filters)
	for _, b := range rule.Backends {
		replaced = replaced || replacesPrefix(b.Filters)
	}
	if !replaced {
		return
	}
	for _, m := range matches {
		if m.Path.Kind != mesh.PathPrefix {
			c.reject(status.Unsupported(
				"replacePrefixMatch needs matches of type PathPrefix, not %s: use ReplaceFullPath or change the match", m.Path.Kind))
			return
		}
	}
}

func replacesPrefix(f mesh.Filters) bool {
	return f.Redirect != nil && f.Redirect.Path != nil && f.Redirect.Path.Prefix != nil ||
		f.Rewrite != nil && f.Rewrite.Path != nil && f.Rewrite.Path.Prefix != nil
}

func (c *ruleCompiler) timeouts(t *gatewayv1.HTTPRouteTimeouts) (request, backend time.Duration) {
	if t == nil {
		return 0, 0
	}
	request = c.duration("timeouts.request", t.Request)
	backend = c.duration("timeouts.backendRequest", t.BackendRequest)
	if request > 0 && backend > request {
		c.reject(status.Unsupported(
			"timeouts.backendRequest (%s) is longer than timeouts.request (%s): make it shorter", backend, request))
	}
	return request, backend
}

func (c *ruleCompiler) retry(r *gatewayv1.HTTPRouteRetry) *mesh.Retry {
	if r == nil {
		return nil
	}
	out := &mesh.Retry{Attempts: 1, Backoff: c.duration("retry.backoff", r.Backoff)}
	if r.Attempts != nil {
		out.Attempts = uint32(max(0, min(*r.Attempts, math.MaxInt32)))
	}
	for _, code := range r.Codes {
		out.Statuses = append(out.Statuses, int(code))
	}
	slices.Sort(out.Statuses)
	return out
}

func (c *ruleCompiler) duration(field string, text *gatewayv1.Duration) time.Duration {
	if text == nil {
		return 0
	}
	d, err := parseDuration(string(*text))
	if err != nil {
		c.reject(status.Unsupported("%s: %v", field, err))
	}
	return d
}
