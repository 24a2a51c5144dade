package graph

import (
	"maps"
	"slices"
	"strconv"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// route is one HTTPRoute, compiled.
type route struct {
	name   mesh.Name
	object *gatewayv1.HTTPRoute
	// notes are things in the route that are valid and have no effect.
	notes []string
	// producer and consumer are the rules as they are for each of the two kinds of parent; nil if there is no such parent.
	producer, consumer *ruleSet
}

// ruleSet is the rules of a route towards one kind of parent.
type ruleSet struct {
	entries []entry
	rules   int
	// invalid rules, and what is wrong with each.
	invalid  int
	problems []status.Problem
	// references that cannot be followed.
	references []status.Problem
}

// role says whose traffic a route is for (GEP-1294, "Namespace boundaries").
type role string

const (
	// roleProducer routes are in the namespace of the Service they are attached to, and apply to all its clients.
	roleProducer role = "producer"
	// roleConsumer routes are in another namespace, and apply to clients in that namespace.
	roleConsumer role = "consumer"
)

// routesOf compiles the routes, in the order of their names.
func routesOf(in map[mesh.Name]*gatewayv1.HTTPRoute, refs *references) []*route {
	out := make([]*route, 0, len(in))
	for _, name := range slices.SortedFunc(maps.Keys(in), compareNames) {
		out = append(out, routeOf(name, in[name], refs))
	}
	return out
}

func routeOf(name mesh.Name, object *gatewayv1.HTTPRoute, refs *references) *route {
	r := &route{name: name, object: object, notes: notesOf(object)}
	for _, ref := range object.Spec.ParentRefs {
		parent, ours := parentOf(ref, name.Namespace)
		switch {
		case !ours:
		case roleOf(parent, name) == roleProducer && r.producer == nil:
			r.producer = compile(r, roleProducer, refs)
		case roleOf(parent, name) == roleConsumer && r.consumer == nil:
			r.consumer = compile(r, roleConsumer, refs)
		}
	}
	return r
}

func roleOf(parent, route mesh.Name) role {
	if parent.Namespace == route.Namespace {
		return roleProducer
	}
	return roleConsumer
}

// rulesFor are the rules that apply towards a parent.
func (r *route) rulesFor(parent mesh.Name) *ruleSet {
	if roleOf(parent, r.name) == roleProducer {
		return r.producer
	}
	return r.consumer
}

// parentOf names the Service that a parentRef means; false if it means anything else, which is not ours to answer. An absent
// group is that of Gateways.
func parentOf(ref gatewayv1.ParentReference, routeNamespace string) (mesh.Name, bool) {
	if ref.Group == nil || *ref.Group != "" || ref.Kind == nil || *ref.Kind != "Service" {
		return mesh.Name{}, false
	}
	name := mesh.Name{Namespace: routeNamespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		name.Namespace = string(*ref.Namespace)
	}
	return name, true
}

// notesOf tells what in a route has no effect, so that nobody waits for it.
func notesOf(object *gatewayv1.HTTPRoute) []string {
	var out []string
	if len(object.Spec.Hostnames) > 0 {
		// GEP-1294, "hostnames field".
		out = append(out, "hostnames have no effect inside the mesh: match the header Host instead")
	}
	for i, rule := range object.Spec.Rules {
		if rule.Retry != nil {
			out = append(out, ruleLabel(i, rule)+": retry is not supported and has no effect")
		}
		if rule.SessionPersistence != nil { //nolint:staticcheck // deprecated (GEP-4894), but whoever still sets it is to be told
			out = append(out, ruleLabel(i, rule)+": sessionPersistence is not supported and has no effect")
		}
	}
	return out
}

// ruleLabel is how messages speak of a rule, like "rule 0" or "rule 2 (canary)".
func ruleLabel(index int, rule gatewayv1.HTTPRouteRule) string {
	label := "rule " + strconv.Itoa(index)
	if rule.Name != nil && *rule.Name != "" {
		label += " (" + string(*rule.Name) + ")"
	}
	return label
}
