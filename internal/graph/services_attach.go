package graph

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// tables collects what is attached to each port of each Service before it is put in order.
type tables map[tableKey]*attached

type tableKey struct {
	port mesh.ServicePort
	// client is the namespace whose clients a consumer route is for; "" for producer routes.
	client string
}

// attached is what one table is made of: routes of one kind. A route that names a port twice is there once.
type attached struct {
	kind    string
	entries []*entry      // GRPCRoute, HTTPRoute
	relays  []*onListener // TLSRoute, TCPRoute
	routes  map[*route]bool
}

// toService adds a route to the ports of a Service that a parentRef means, and says how that went.
func (a *attachment) toService(r *route, ref gatewayv1.ParentReference, name mesh.Name) []status.Condition {
	rules := r.rulesAs(roleOf(name, r.name), a.refs)
	resolved := status.ResolvedRefs(rules.references)
	if r.kind == "UDPRoute" {
		return []status.Condition{status.Unattached(status.Unsupported("UDPRoutes apply to Gateways only: datagrams inside the mesh go as they are")), resolved}
	}
	ports, notes, wrong := portsFor(r.kind, ref, name, a.services[name], a.refs)
	if wrong != nil {
		return []status.Condition{status.Unattached(*wrong), resolved}
	}
	key := tableKey{}
	if roleOf(name, r.name) == roleConsumer {
		key.client = r.name.Namespace
	}
	var taken []string
	for _, port := range ports {
		key.port = mesh.ServicePort{Name: name, Port: port}
		if at := a.tables[key]; at != nil && at.kind != r.kind {
			taken = append(taken, fmt.Sprintf("port %d, which has a %s", port, at.kind))
			continue
		}
		a.tables.add(key, r, rules)
	}
	switch {
	case len(taken) == len(ports):
		return []status.Condition{status.Unattached(status.ParentTaken(name, r.kind, strings.Join(taken, ", and "))), resolved}
	case len(taken) > 0:
		notes = append(notes, "the route does not apply to "+strings.Join(taken, ", and "))
	}
	return conditionsOf("Service", rules, resolved, slices.Concat(notes, r.meshNotes, r.notes))
}

func (t tables) add(key tableKey, r *route, rules *ruleSet) {
	at := t[key]
	if at == nil {
		at = &attached{kind: r.kind, routes: map[*route]bool{}}
		t[key] = at
	}
	if at.routes[r] {
		return
	}
	at.routes[r] = true
	if !r.isHTTP() {
		at.relays = append(at.relays, &onListener{route: r, rules: rules, names: r.namesOn("")})
		return
	}
	for i := range rules.entries {
		at.entries = append(at.entries, &rules.entries[i])
	}
}

// publish puts each table in order and hands it to its port.
func (t tables) publish(services map[mesh.Name]*mesh.Service) {
	for key, at := range t {
		port := portOf(services[key.port.Name], key.port.Port)
		if at.relays != nil {
			at.publishL4(port, key.client)
			continue
		}
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

func (at *attached) publishL4(port *mesh.Port, client string) {
	var l4 mesh.L4
	if at.kind == "TLSRoute" {
		l4.Servers = servers(at.relays)
	} else {
		l4.Split = at.relays[0].rules.split // the oldest has it all
	}
	if client == "" {
		port.L4 = &l4
		return
	}
	if port.ConsumerL4 == nil {
		port.ConsumerL4 = map[string]*mesh.L4{}
	}
	port.ConsumerL4[client] = &l4
}

// portsFor are the ports that a parentRef means: all without port and sectionName, else those that have both (ParentReference).
// Ports on which a route of the kind cannot work are not among them; notes names those.
func portsFor(
	kind string, ref gatewayv1.ParentReference, parent mesh.Name, svc *mesh.Service, refs *references,
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
		case port.UDP:
		case ref.Port != nil && int(*ref.Port) != int(port.Number):
		case ref.SectionName != nil && *ref.SectionName != "" && string(*ref.SectionName) != port.Name:
		case !carries(port.Protocol, kind):
			opaque = append(opaque, fmt.Sprintf("port %s, declared as %s", portLabel(port.Number, port.Name), port.Protocol))
		default:
			ports = append(ports, port.Number)
		}
	}
	switch {
	case len(ports) == 0 && len(opaque) == 0:
		return nil, nil, ptr(status.ParentPortMissing(parent, wantedPort(ref), portList(refs.services[parent], false)))
	case len(ports) == 0:
		return nil, nil, ptr(status.ParentPortOpaque(parent, kind, strings.Join(opaque, ", and ")))
	case len(opaque) > 0:
		notes = append(notes, "the route does not apply to "+strings.Join(opaque, ", and "))
	}
	return ports, notes, nil
}

// carries tells whether a route of a kind can work on a port of a protocol: requests must be seen for some, server names for others.
func carries(p mesh.Protocol, kind string) bool {
	switch kind {
	case "TCPRoute":
		return true
	case "TLSRoute":
		return p == mesh.ProtocolTLS || p == mesh.ProtocolUndeclared
	}
	return p != mesh.ProtocolTCP && p != mesh.ProtocolTLS
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
