package graph

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// route is one route of any kind, compiled.
type route struct {
	kind       string // "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"
	name       mesh.Name
	generation int64
	created    time.Time
	parents    []gatewayv1.ParentReference
	// hostnames in lower case; none means all.
	hostnames []string
	// rules of an HTTPRoute, or of a GRPCRoute in the terms of one.
	rules []gatewayv1.HTTPRouteRule
	// calls are what a GRPCRoute matches, by rule and match: they decide about precedence.
	calls map[place]call
	// backends of a TLSRoute, TCPRoute or UDPRoute.
	backends []gatewayv1.BackendRef
	// meshNotes are things in the route that are valid and have no effect on Services; notes on no parent.
	notes, meshNotes []string
	// as are the rules as they are for each kind of parent, made when they are asked for.
	as map[role]*ruleSet
}

// place is where in a route a match stands.
type place struct{ rule, match int }

// ruleSet is the rules of a route towards one kind of parent.
type ruleSet struct {
	entries []entry
	split   *mesh.Split
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
	// roleGateway routes are attached to listeners, and apply to whoever comes.
	roleGateway role = "gateway"
	// roleProducer routes are in the namespace of the Service they are attached to, and apply to all its clients.
	roleProducer role = "producer"
	// roleConsumer routes are in another namespace, and apply to clients in that namespace.
	roleConsumer role = "consumer"
)

// routesOf reads the routes of all kinds, the older first, and of those made in the same second by kind and name.
func routesOf(s *snapshot.Snapshot) []*route {
	var out []*route
	for name, r := range s.HTTPRoutes {
		out = append(out, httpRoute(name, r))
	}
	for name, r := range s.GRPCRoutes {
		out = append(out, grpcRoute(name, r))
	}
	for name, r := range s.TLSRoutes {
		one := newRoute("TLSRoute", name, &r.ObjectMeta, r.Spec.ParentRefs, r.Spec.Hostnames)
		for i, rule := range r.Spec.Rules {
			one.relays(i, rule.BackendRefs)
		}
		out = append(out, one)
	}
	for name, r := range s.TCPRoutes {
		one := newRoute("TCPRoute", name, &r.ObjectMeta, r.Spec.ParentRefs, nil)
		for i, rule := range r.Spec.Rules {
			one.relays(i, rule.BackendRefs)
		}
		out = append(out, one)
	}
	for name, r := range s.UDPRoutes {
		one := newRoute("UDPRoute", name, &r.ObjectMeta, r.Spec.ParentRefs, nil)
		for i, rule := range r.Spec.Rules {
			one.relays(i, rule.BackendRefs)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, olderRoute)
	return out
}

// olderRoute is the order in which routes compete: age, then namespace/name (Gateway API, "conflicts"), then kind.
func olderRoute(a, b *route) int {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name.String(), b.name.String()), cmp.Compare(a.kind, b.kind))
}

func newRoute(
	kind string, name mesh.Name, meta *metav1.ObjectMeta, parents []gatewayv1.ParentReference, hostnames []gatewayv1.Hostname,
) *route {
	r := &route{
		kind: kind, name: name, generation: meta.Generation, created: meta.CreationTimestamp.Time, parents: parents,
		hostnames: hostnamesOf(hostnames), as: map[role]*ruleSet{},
	}
	if len(r.hostnames) > 0 && kind != "TLSRoute" {
		// GEP-1294, "hostnames field".
		r.meshNotes = append(r.meshNotes, "hostnames have no effect inside the mesh: match the header Host instead")
	}
	return r
}

// relays takes the backends of a rule. Without matches there is nothing to choose a rule by: the first one has it all.
func (r *route) relays(rule int, backends []gatewayv1.BackendRef) {
	if rule == 0 {
		r.backends = backends
	} else {
		r.notes = append(r.notes, "rule "+strconv.Itoa(rule)+" has no effect: the first rule takes everything")
	}
}

func httpRoute(name mesh.Name, object *gatewayv1.HTTPRoute) *route {
	r := newRoute("HTTPRoute", name, &object.ObjectMeta, object.Spec.ParentRefs, object.Spec.Hostnames)
	r.rules = object.Spec.Rules
	return r
}

// hostnamesOf are a route's host names in lower case, each once. Addresses are no names (HTTPRoute.spec.hostnames); the API server
// refuses them, and they would match nothing here.
func hostnamesOf(in []gatewayv1.Hostname) []string {
	set := map[string]bool{}
	for _, h := range in {
		if h != "" {
			set[strings.ToLower(string(h))] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// rulesAs are the rules as they are for one kind of parent.
func (r *route) rulesAs(as role, refs *references) *ruleSet {
	set := r.as[as]
	if set == nil {
		if r.isHTTP() {
			set = compile(r, as, refs)
		} else {
			set = compileSplit(r, as, refs)
		}
		r.as[as] = set
	}
	return set
}

// isHTTP tells whether requests are routed, not connections.
func (r *route) isHTTP() bool { return r.kind == "HTTPRoute" || r.kind == "GRPCRoute" }

func roleOf(parent, route mesh.Name) role {
	if parent.Namespace == route.Namespace {
		return roleProducer
	}
	return roleConsumer
}

// ruleLabel is how messages speak of a rule, like "rule 0" or "rule 2 (canary)".
func ruleLabel(index int, rule gatewayv1.HTTPRouteRule) string {
	label := "rule " + strconv.Itoa(index)
	if rule.Name != nil && *rule.Name != "" {
		label += " (" + string(*rule.Name) + ")"
	}
	return label
}
