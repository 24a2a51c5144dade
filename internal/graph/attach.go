package graph

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/internal/status/routestatus"
)

// tables collects what is attached to each port of each Service before it is put in order.
type tables map[tableKey]*attached

type tableKey struct {
	port mesh.ServicePort
	// client is the namespace whose clients a consumer route is for; "" for producer routes.
	client string
}

// attached is the entries of one table. A route that names a port twice is there once.
type attached struct {
	entries []*entry
	routes  map[*route]bool
}

// attach gives the ports of services the routes that name them, and says of each route how that went.
func attach(routes []*route, services map[mesh.Name]*mesh.Service, refs *references) []status.Want {
	all := tables{}
	wants := make([]status.Want, 0, len(routes))
	for _, r := range routes {
		want := status.Want{Kind: "HTTPRoute", Name: r.name, Generation: r.object.Generation}
		for _, ref := range r.object.Spec.ParentRefs {
			parent, ours := parentOf(ref, r.name.Namespace)
			if !ours || slices.ContainsFunc(want.Parents, func(p status.Parent) bool { return p.Ref == routestatus.Ref(ref) }) {
				continue
			}
			want.Parents = append(want.Parents, status.Parent{
				Ref: routestatus.Ref(ref), Conditions: all.attach(r, ref, parent, services[parent], refs),
			})
		}
		wants = append(wants, want)
	}
	all.publish(services)
	return wants
}

// attach adds a route to the ports that a parentRef means, and says how that went.
func (t tables) attach(r *route, ref gatewayv1.ParentReference, parent mesh.Name, svc *mesh.Service, refs *references) []status.Condition {
	rules := r.rulesFor(parent)
	resolved := status.ResolvedRefs(rules.references)
	ports, notes, wrong := portsFor(ref, parent, svc, refs)
	if wrong != nil {
		return []status.Condition{status.Unattached(*wrong), resolved}
	}
	key := tableKey{}
	if roleOf(parent, r.name) == roleConsumer {
		key.client = r.name.Namespace
	}
	for _, port := range ports {
		key.port = mesh.ServicePort{Name: parent, Port: port}
		t.add(key, r, rules)
	}
	switch {
	case rules.invalid == rules.rules:
		return []status.Condition{status.Invalid(rules.problems), resolved}
	case rules.invalid > 0:
		return []status.Condition{
			status.Accepted(append(notes, r.notes...)), resolved, status.PartiallyInvalid(rules.problems),
		}
	}
	return []status.Condition{status.Accepted(append(notes, r.notes...)), resolved}
}

func (t tables) add(key tableKey, r *route, rules *ruleSet) {
	at := t[key]
	if at == nil {
		at = &attached{routes: map[*route]bool{}}
		t[key] = at
	}
	if at.routes[r] {
		return
	}
	at.routes[r] = true
	for i := range rules.entries {
		at.entries = append(at.entries, &rules.entries[i])
	}
}

// publish puts each table in order and hands it to its port.
func (t tables) publish(services map[mesh.Name]*mesh.Service) {
	for key, at := range t {
		port := portOf(services[key.port.Name], key.port.Port)
		if key.client == "" {
			port.Routes = tableOf(at.entries)
			continue
		}
		if port.Consumer == nil {
			port.Consumer = map[string]*mesh.RouteTable{}
		}
		port.Consumer[key.client] = tableOf(at.entries)
	}
}

// portsFor are the ports that a parentRef means: all without port and sectionName, else those that have both (ParentReference).
// Ports on which no HTTP can be seen are not among them; notes names those.
func portsFor(
	ref gatewayv1.ParentReference, parent mesh.Name, svc *mesh.Service, refs *references,
) (ports []uint16, notes []string, wrong *status.Problem) {
	switch {
	case svc == nil && refs.services[parent] != nil:
		return nil, nil, ptr(status.ParentExternalName(parent))
	case svc == nil:
		return nil, nil, ptr(status.ParentMissing(parent))
	case svc.Headless:
		return nil, nil, ptr(status.ParentHeadless(parent))
	}
	var opaque []string
	for _, port := range svc.Ports {
		switch {
		case ref.Port != nil && int(*ref.Port) != int(port.Number):
		case ref.SectionName != nil && *ref.SectionName != "" && string(*ref.SectionName) != port.Name:
		case port.Protocol == mesh.ProtocolTCP || port.Protocol == mesh.ProtocolTLS:
			opaque = append(opaque, fmt.Sprintf("port %s, declared as %s", portLabel(port.Number, port.Name), port.Protocol))
		default:
			ports = append(ports, port.Number)
		}
	}
	switch {
	case len(ports) == 0 && len(opaque) == 0:
		return nil, nil, ptr(status.ParentPortMissing(parent, wantedPort(ref), portList(refs.services[parent])))
	case len(ports) == 0:
		return nil, nil, ptr(status.ParentPortOpaque(parent, strings.Join(opaque, ", and ")))
	case len(opaque) > 0:
		notes = append(notes, "the route does not apply to "+strings.Join(opaque, ", and "))
	}
	return ports, notes, nil
}

// wantedPort is what a parentRef asks for, for messages.
func wantedPort(ref gatewayv1.ParentReference) string {
	var parts []string
	if ref.Port != nil {
		parts = append(parts, fmt.Sprint(*ref.Port))
	}
	if ref.SectionName != nil && *ref.SectionName != "" {
		parts = append(parts, fmt.Sprintf("named %q", string(*ref.SectionName)))
	}
	if len(parts) == 0 {
		return "at all"
	}
	return strings.Join(parts, " ")
}
