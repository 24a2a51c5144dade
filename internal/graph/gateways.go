package graph

import (
	"cmp"
	"maps"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// parent is what a route can be attached to.
type parent struct {
	kind string // "Service", "Gateway", "ListenerSet"
	name mesh.Name
}

// gateway is one Gateway of a class of ours.
type gateway struct {
	name   mesh.Name
	object *gatewayv1.Gateway
	// parameters are what its proxies run on; held tells that they are not known.
	parameters mesh.Parameters
	held       bool
	listeners  []*listener
	sets       []*listenerSet // in order of precedence, those that are not allowed too
	// refused says why it is not accepted although its listeners may be.
	refused *status.Problem
	// clientCertificate is for backends, and what is wrong with it.
	clientCertificate *mesh.Certificate
	unresolved        []status.Problem
}

// listenerSet is one ListenerSet of a gateway.
type listenerSet struct {
	name      mesh.Name
	object    *gatewayv1.ListenerSet
	allowed   bool
	listeners []*listener
}

// gateways is everything about gateways, by name.
type gateways struct {
	snapshot    *snapshot.Snapshot
	definitions status.Definitions
	classes     map[mesh.Name]*class
	byName      map[mesh.Name]*gateway
	sets        map[mesh.Name]*listenerSet
}

// gatewaysOf reads the Gateways whose class names us as its controller, and their ListenerSets.
func gatewaysOf(s *snapshot.Snapshot, refs *references) *gateways {
	g := &gateways{
		snapshot: s, definitions: definitionsOf(s), classes: map[mesh.Name]*class{}, byName: map[mesh.Name]*gateway{}, sets: map[mesh.Name]*listenerSet{},
	}
	for name, object := range s.GatewayClasses {
		if object.Spec.ControllerName == status.ControllerName {
			g.classes[name] = classOf(name, object, refs)
		}
	}
	for name, object := range s.Gateways {
		if of := g.classes[mesh.Name{Name: string(object.Spec.GatewayClassName)}]; of != nil {
			g.byName[name] = gatewayOf(name, object, of, refs)
		}
	}
	for name, object := range s.ListenerSets {
		if of := g.byName[parentGateway(name, object)]; of != nil {
			set := &listenerSet{name: name, object: object, allowed: of.takes(name.Namespace, s)}
			g.sets[name] = set
			of.sets = append(of.sets, set)
		}
	}
	for _, one := range g.byName {
		one.complete(refs)
	}
	return g
}

func gatewayOf(name mesh.Name, object *gatewayv1.Gateway, of *class, refs *references) *gateway {
	g := &gateway{name: name, object: object}
	if tls := object.Spec.TLS; tls != nil && tls.Backend != nil && tls.Backend.ClientCertificateRef != nil {
		certificate, wrong := refs.certificate(*tls.Backend.ClientCertificateRef, "Gateway", name.Namespace, status.ReasonInvalidClientCertificate)
		if g.clientCertificate = certificate; wrong != nil {
			g.unresolved = append(g.unresolved, *wrong)
		}
	}
	for _, l := range object.Spec.Listeners {
		g.listeners = append(g.listeners, newListener(parent{"Gateway", name}, l, g.frontend(), name, refs))
	}
	parameters, unknown := parametersOf(object, of, refs)
	g.parameters, g.held = parameters, unknown != nil
	g.refused = cmp.Or(g.refusal(), unknown)
	return g
}

// frontend is the Gateway's word on client certificates; nil: none.
func (g *gateway) frontend() *gatewayv1.FrontendTLSConfig {
	if g.object.Spec.TLS == nil {
		return nil
	}
	return g.object.Spec.TLS.Frontend
}

// refusal says what of a Gateway's addresses is not supported.
func (g *gateway) refusal() *status.Problem {
	for i, a := range g.object.Spec.Addresses {
		if kind := addressType(a); kind != gatewayv1.IPAddressType {
			return ptr(status.Why(status.ReasonUnsupportedAddress, "spec.addresses[%d] is of type %.100s: only %s is supported", i, kind, gatewayv1.IPAddressType))
		}
	}
	return nil
}

// parentGateway names the Gateway of a ListenerSet; the zero name if its parent is something else.
func parentGateway(name mesh.Name, object *gatewayv1.ListenerSet) mesh.Name {
	ref := object.Spec.ParentRef
	if ref.Group != nil && *ref.Group != gatewayv1.GroupName || ref.Kind != nil && *ref.Kind != "Gateway" {
		return mesh.Name{}
	}
	out := mesh.Name{Namespace: name.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		out.Namespace = string(*ref.Namespace)
	}
	return out
}

// takes tells whether ListenerSets of a namespace are allowed; none are unless the Gateway says so (Gateway.spec.allowedListeners).
func (g *gateway) takes(namespace string, s *snapshot.Snapshot) bool {
	allowed := g.object.Spec.AllowedListeners
	if allowed == nil || allowed.Namespaces == nil {
		return false
	}
	return selected(deref(allowed.Namespaces.From), gatewayv1.NamespacesFromNone, allowed.Namespaces.Selector, g.name.Namespace, namespace, s)
}

// complete reads the listeners of the sets and finds conflicts.
func (g *gateway) complete(refs *references) {
	slices.SortFunc(g.sets, func(a, b *listenerSet) int {
		return cmp.Or(a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time), cmp.Compare(a.name.String(), b.name.String()))
	})
	layers := [][]*listener{g.listeners}
	for _, set := range g.sets {
		for _, entry := range set.object.Spec.Listeners {
			set.listeners = append(set.listeners, newListener(parent{"ListenerSet", set.name}, gatewayv1.Listener(entry), g.frontend(), g.name, refs))
		}
		if set.allowed {
			layers = append(layers, set.listeners)
		}
	}
	conflicts(layers)
}

// served are the listeners that are, in the order of precedence, and those that are shut.
func (g *gateway) served() []*listener {
	return slices.DeleteFunc(g.all(), func(l *listener) bool { return !l.serves() && (!l.shut() || l.incomplete != nil) })
}

// find is the listeners of a parent; false if it is none of ours.
func (g *gateways) find(p parent) ([]*listener, bool) {
	switch p.kind {
	case "Gateway":
		if one := g.byName[p.name]; one != nil {
			return one.listeners, true
		}
	case "ListenerSet":
		if set := g.sets[p.name]; set != nil {
			if !set.allowed {
				return nil, true
			}
			return set.listeners, true
		}
	}
	return nil, false
}

// mesh is what the gateways' proxies are told.
func (g *gateways) mesh(trustDomain string) map[mesh.Name]*mesh.Gateway {
	out := make(map[mesh.Name]*mesh.Gateway, len(g.byName))
	for name, one := range g.byName {
		account := mesh.GatewayServiceAccount(name.Name)
		id := identity.ID{TrustDomain: trustDomain, Namespace: name.Namespace, ServiceAccount: account}
		out[name] = &mesh.Gateway{
			Name:              name,
			Origin:            mesh.Origin{Kind: "Gateway", Namespace: name.Namespace, Name: name.Name, Generation: one.object.Generation},
			ServiceAccount:    account,
			Identity:          id.String(),
			Ports:             portsOfGateway(one.served()),
			ClientCertificate: one.clientCertificate,
			Infrastructure:    one.infrastructure(),
		}
	}
	return out
}

func (g *gateway) infrastructure() mesh.Infrastructure {
	out := mesh.Infrastructure{
		UID: string(g.object.UID), Class: string(g.object.Spec.GatewayClassName), Parameters: g.parameters, Held: g.held,
	}
	g.infrastructureAddresses(&out)
	if i := g.object.Spec.Infrastructure; i != nil {
		out.Labels, out.Annotations = map[string]string{}, map[string]string{}
		for k, v := range i.Labels {
			out.Labels[string(k)] = string(v)
		}
		for k, v := range i.Annotations {
			out.Annotations[string(k)] = string(v)
		}
	}
	return out
}

// portsOfGateway gathers listeners by port. A port with none but shut ones is not opened.
func portsOfGateway(listeners []*listener) []mesh.GatewayPort {
	type key struct {
		number uint16
		udp    bool
	}
	ports := map[key][]*listener{}
	for _, l := range listeners {
		k := key{uint16(l.spec.Port), l.spec.Protocol == gatewayv1.UDPProtocolType}
		ports[k] = append(ports[k], l)
	}
	maps.DeleteFunc(ports, func(_ key, list []*listener) bool { return !slices.ContainsFunc(list, (*listener).valid) })
	order := slices.SortedFunc(maps.Keys(ports), func(a, b key) int {
		return comparePorts(mesh.Port{Number: a.number, UDP: a.udp}, mesh.Port{Number: b.number, UDP: b.udp})
	})
	out := make([]mesh.GatewayPort, 0, len(order))
	for _, k := range order {
		out = append(out, mesh.GatewayPort{Number: k.number, UDP: k.udp, Listeners: servedOn(ports[k])})
	}
	return out
}
