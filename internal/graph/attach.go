package graph

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/internal/status/merge"
)

// attachment is everything that routes can be attached to.
type attachment struct {
	snapshot *snapshot.Snapshot
	refs     *references
	services map[mesh.Name]*mesh.Service
	gateways *gateways
	tables   tables
}

// kindOrder is the order in which kinds take the ports of Services: "GRPCRoute, HTTPRoute, TLSRoute, TCPRoute" (GEP-1294, "Route types").
var kindOrder = []string{"GRPCRoute", "HTTPRoute", "TLSRoute", "TCPRoute", "UDPRoute"}

// attach gives listeners and the ports of services the routes that name them, and says of each route how that went. Routes come in the
// order in which they compete.
func (a *attachment) attach(routes []*route) []status.Want {
	wants := make(map[*route]*status.Want, len(routes))
	for _, kind := range kindOrder {
		for _, r := range routes {
			if r.kind == kind {
				wants[r] = a.one(r)
			}
		}
	}
	a.tables.publish(a.services)
	slices.SortStableFunc(routes, func(a, b *route) int {
		if order := slices.Index(kindOrder, b.kind) - slices.Index(kindOrder, a.kind); order != 0 {
			return -order
		}
		return compareNames(a.name, b.name)
	})
	out := make([]status.Want, 0, len(routes))
	for _, r := range routes {
		out = append(out, *wants[r])
	}
	return out
}

// one attaches a route to its parents.
func (a *attachment) one(r *route) *status.Want {
	want := &status.Want{Kind: r.kind, Name: r.name, Generation: r.generation}
	for _, ref := range r.parents {
		p, ours := parentOf(ref, r.name.Namespace)
		if !ours || slices.ContainsFunc(want.Parents, func(p status.Parent) bool { return p.Ref == merge.Ref(ref) }) {
			continue
		}
		var conditions []status.Condition
		if p.kind == "Service" {
			conditions = a.toService(r, ref, p.name)
		} else {
			listeners, known := a.gateways.find(p)
			if !known {
				continue // somebody else's, or nobody's
			}
			conditions = a.toListeners(r, ref, p, listeners)
		}
		want.Parents = append(want.Parents, status.Parent{Ref: merge.Ref(ref), Conditions: conditions})
	}
	return want
}

// parentOf names what a parentRef means; false if it means anything that is not ours to answer for. An absent group is that of
// Gateways.
func parentOf(ref gatewayv1.ParentReference, routeNamespace string) (parent, bool) {
	group, kind := gatewayv1.GroupName, "Gateway"
	if ref.Group != nil {
		group = string(*ref.Group)
	}
	if ref.Kind != nil {
		kind = string(*ref.Kind)
	}
	p := parent{kind, mesh.Name{Namespace: routeNamespace, Name: string(ref.Name)}}
	if ref.Namespace != nil {
		p.name.Namespace = string(*ref.Namespace)
	}
	switch {
	case group == "" && kind == "Service", group == gatewayv1.GroupName && (kind == "Gateway" || kind == "ListenerSet"):
		return p, true
	}
	return parent{}, false
}

// toListeners attaches a route to the listeners that a parentRef means, and says how that went.
func (a *attachment) toListeners(r *route, ref gatewayv1.ParentReference, p parent, listeners []*listener) []status.Condition {
	rules := r.rulesAs(roleGateway, a.refs)
	resolved := status.ResolvedRefs(rules.references)
	meant := slices.DeleteFunc(slices.Clone(listeners), func(l *listener) bool {
		return ref.Port != nil && *ref.Port != l.spec.Port || ref.SectionName != nil && *ref.SectionName != "" && *ref.SectionName != l.spec.Name
	})
	if len(meant) == 0 {
		return []status.Condition{status.Unattached(status.ListenerMissing(p.kind, p.name, wantedPort(ref))), resolved}
	}
	allowed := slices.DeleteFunc(meant, func(l *listener) bool { return !l.allows(r.kind, r.name.Namespace, a.snapshot) })
	if len(allowed) == 0 {
		return []status.Condition{status.Unattached(status.ListenerForbids(p.kind, p.name, r.kind, r.name.Namespace)), resolved}
	}
	var fits, attached int
	for _, l := range allowed {
		names := r.namesOn(l.hostname)
		if names == nil {
			continue
		}
		fits++
		if l.hasOther(r, names) {
			continue
		}
		attached++
		if !l.routes[r] {
			l.routes[r] = true
			l.attached = append(l.attached, &onListener{route: r, rules: rules, names: names})
		}
	}
	switch {
	case fits == 0:
		return []status.Condition{status.Unattached(status.ListenerHostname(p.kind, p.name, status.List(r.hostnames))), resolved}
	case attached == 0:
		return []status.Condition{status.Unattached(status.ListenerTaken(p.kind, p.name, r.kind)), resolved}
	}
	return conditionsOf(p.kind, rules, resolved, r.notes)
}

// hasOther tells whether a route of the other kind for HTTP has one of the names already: their rules are not merged
// (GRPCRoute.spec.hostnames).
func (l *listener) hasOther(r *route, names map[string]string) bool {
	return slices.ContainsFunc(l.attached, func(other *onListener) bool {
		if other.route.kind == r.kind {
			return false
		}
		for name := range names {
			for taken := range other.names {
				if _, both := intersect(name, taken); both {
					return true
				}
			}
		}
		return false
	})
}

// conditionsOf is the status of a route that is attached.
func conditionsOf(parentKind string, rules *ruleSet, resolved status.Condition, notes []string) []status.Condition {
	switch {
	case rules.invalid == rules.rules:
		return []status.Condition{status.Invalid(rules.problems), resolved}
	case rules.invalid > 0:
		return []status.Condition{status.Accepted(parentKind, notes), resolved, status.PartiallyInvalid(rules.problems)}
	}
	return []status.Condition{status.Accepted(parentKind, notes), resolved}
}
