package graph

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// listener is one listener of a Gateway or ListenerSet, with everything that was found out about it.
type listener struct {
	owner    parent
	spec     gatewayv1.Listener
	hostname string
	// kinds of route that may attach.
	kinds []string
	// rejected says why it is not accepted; conflict which other listener it cannot be told from.
	rejected, conflict *status.Problem
	// unresolved references, and kinds of route that it cannot take.
	unresolved []status.Problem
	// incomplete says why it cannot be served although it is accepted.
	incomplete  *status.Problem
	termination *mesh.Termination
	// filters are asked before routes are matched; closed says which of them cannot be asked, so that no request may pass. It is the
	// same as rejected where the listener is not accepted for that.
	filters []*mesh.ExternalAuth
	closed  *status.Problem

	attached []*onListener   // in the order in which routes compete
	routes   map[*route]bool // attached ones
}

// valid tells whether it is part of the gateway.
func (l *listener) valid() bool { return l.rejected == nil && l.conflict == nil }

// serves tells whether it can take traffic.
func (l *listener) serves() bool { return l.valid() && l.incomplete == nil }

// routeKinds are the kinds of route that can be attached to listeners of a protocol, the usual one first; none for protocols that are
// not supported (ProtocolType).
func routeKinds(protocol gatewayv1.ProtocolType) []string {
	switch protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
		return []string{"HTTPRoute", "GRPCRoute"}
	case gatewayv1.TLSProtocolType:
		return []string{"TLSRoute"}
	case gatewayv1.TCPProtocolType:
		return []string{"TCPRoute"}
	case gatewayv1.UDPProtocolType:
		return []string{"UDPRoute"}
	}
	return nil
}

// reservedPorts are those that a gateway's proxy needs itself.
var reservedPorts = []int32{mesh.PortAdmin, mesh.PortOutbound, mesh.PortInbound, mesh.PortHealth}

// newListener reads one listener by itself. frontend is the Gateway's word on client certificates.
func newListener(owner parent, spec gatewayv1.Listener, frontend *gatewayv1.FrontendTLSConfig, gateway mesh.Name, refs *references) *listener {
	l := &listener{owner: owner, spec: spec, routes: map[*route]bool{}}
	switch spec.Protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType, gatewayv1.TLSProtocolType:
		l.hostname = strings.ToLower(deref(spec.Hostname))
	default: // the others know no names
	}
	l.kinds = routeKinds(spec.Protocol)
	switch {
	case l.kinds == nil:
		l.rejected = ptr(status.Why(status.ReasonUnsupportedProtocol, "protocol %.100q is not supported: use HTTP, HTTPS, TLS, TCP or UDP", spec.Protocol))
		return l
	case spec.Port < 1 || spec.Port > 65535:
		l.rejected = ptr(status.Why(status.ReasonPortUnavailable, "port %d is none: use 1 to 65535", spec.Port))
	case slices.Contains(reservedPorts, spec.Port):
		l.rejected = ptr(status.Why(status.ReasonPortUnavailable, "port %d is one that the gateway's proxy uses itself: choose another", spec.Port))
	}
	l.allowKinds()
	l.filterRequests(refs)
	l.terminate(refs)
	if spec.Protocol == gatewayv1.HTTPSProtocolType {
		l.askClients(frontend, gateway, refs)
	}
	return l
}

// allowKinds keeps of the protocol's kinds those that the listener allows.
func (l *listener) allowKinds() {
	if l.spec.AllowedRoutes == nil || len(l.spec.AllowedRoutes.Kinds) == 0 {
		return
	}
	possible := l.kinds
	l.kinds = nil
	for _, k := range l.spec.AllowedRoutes.Kinds {
		kind, group := string(k.Kind), gatewayv1.GroupName
		if k.Group != nil {
			group = string(*k.Group)
		}
		if group != gatewayv1.GroupName || !slices.Contains(possible, kind) {
			l.unresolved = append(l.unresolved, status.Why(status.ReasonInvalidRouteKinds, "a listener for %s cannot take a %s, only %s",
				l.spec.Protocol, kindOf(group, kind), status.List(possible)))
			continue
		}
		if !slices.Contains(l.kinds, kind) {
			l.kinds = append(l.kinds, kind)
		}
	}
}

// terminate finds the certificates of a listener that terminates TLS.
func (l *listener) terminate(refs *references) {
	mode := gatewayv1.TLSModeTerminate
	if l.spec.TLS != nil && l.spec.TLS.Mode != nil && *l.spec.TLS.Mode != "" {
		mode = *l.spec.TLS.Mode
	}
	switch l.spec.Protocol {
	case gatewayv1.HTTPSProtocolType:
		if mode != gatewayv1.TLSModeTerminate {
			l.rejected = ptr(status.Why(status.ReasonUnsupportedValue, "a listener for HTTPS terminates TLS: use protocol TLS for mode %s", mode))
			return
		}
	case gatewayv1.TLSProtocolType:
		if mode == gatewayv1.TLSModePassthrough {
			return
		}
	default:
		return
	}
	l.termination = &mesh.Termination{}
	var certificates []gatewayv1.SecretObjectReference
	if l.spec.TLS != nil {
		certificates = l.spec.TLS.CertificateRefs
	}
	for _, ref := range certificates {
		c, wrong := refs.certificate(ref, l.owner.kind, l.owner.name.Namespace, status.ReasonInvalidCertificateRef)
		if wrong != nil {
			l.unresolved = append(l.unresolved, *wrong)
			continue
		}
		l.termination.Certificates = append(l.termination.Certificates, c)
	}
	if len(certificates) == 0 {
		l.unresolved = append(l.unresolved, status.Why(status.ReasonInvalidCertificateRef, "tls.certificateRefs names no certificate"))
	}
	if len(l.termination.Certificates) == 0 {
		l.incomplete = ptr(status.Why(status.ReasonInvalid, "the listener has no certificate that can be used"))
	}
}

// askClients finds what clients of an HTTPS listener must show (Gateway.spec.tls.frontend).
func (l *listener) askClients(frontend *gatewayv1.FrontendTLSConfig, gateway mesh.Name, refs *references) {
	if frontend == nil || l.termination == nil {
		return
	}
	validation := frontend.Default.Validation
	for _, p := range frontend.PerPort {
		if p.Port == l.spec.Port {
			validation = p.TLS.Validation
		}
	}
	if validation == nil {
		return
	}
	clients := &mesh.ClientValidation{Fallback: validation.Mode == gatewayv1.AllowInsecureFallback}
	roots, wrong := refs.authorities(validation.CACertificateRefs, referrer{
		kind: "Gateway", namespace: gateway.Namespace,
		invalidRef: status.ReasonInvalidCACertificateRef, invalidKind: status.ReasonInvalidCACertificateKind,
	})
	l.unresolved = append(l.unresolved, wrong...)
	clients.Roots = roots
	l.termination.Clients = clients
	if len(clients.Roots) == 0 {
		l.rejected = ptr(status.Why(status.ReasonNoValidCACertificate, "no authority for client certificates can be used, so nobody could be let in"))
	}
}

// allows tells whether routes of a kind and namespace may attach.
func (l *listener) allows(kind, namespace string, s *snapshot.Snapshot) bool {
	if !slices.Contains(l.kinds, kind) {
		return false
	}
	var namespaces *gatewayv1.RouteNamespaces
	if l.spec.AllowedRoutes != nil {
		namespaces = l.spec.AllowedRoutes.Namespaces
	}
	if namespaces == nil {
		namespaces = &gatewayv1.RouteNamespaces{}
	}
	return selected(deref(namespaces.From), gatewayv1.NamespacesFromSame, namespaces.Selector, l.owner.name.Namespace, namespace, s)
}

// selected tells whether a namespace is one of those that an object in namespace own speaks of.
func selected(
	who string, otherwise gatewayv1.FromNamespaces, selector *metav1.LabelSelector, own, namespace string, s *snapshot.Snapshot,
) bool {
	switch gatewayv1.FromNamespaces(cmp.Or(who, string(otherwise))) {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == own
	case gatewayv1.NamespacesFromSelector:
		object := s.Namespaces[mesh.Name{Name: namespace}]
		chosen, err := metav1.LabelSelectorAsSelector(selector)
		return err == nil && object != nil && chosen.Matches(labels.Set(object.Labels))
	default:
		return false
	}
}

// indistinct says why two listeners of one gateway cannot be told from each other, "" if they can (Gateway.spec.listeners, "Distinct
// Listeners").
func indistinct(a, b *listener) string {
	encrypted := func(p gatewayv1.ProtocolType) bool {
		return p == gatewayv1.HTTPSProtocolType || p == gatewayv1.TLSProtocolType
	}
	udp := func(p gatewayv1.ProtocolType) bool { return p == gatewayv1.UDPProtocolType }
	switch pa, pb := a.spec.Protocol, b.spec.Protocol; {
	case a.spec.Port != b.spec.Port || udp(pa) != udp(pb):
		return ""
	case pa == pb && a.hostname == b.hostname:
		return status.ReasonHostnameConflict
	case pa == pb:
		return ""
	case encrypted(pa) && encrypted(pb) && a.hostname != b.hostname:
		return ""
	}
	return status.ReasonProtocolConflict
}

// conflicts marks listeners that cannot be told from others. Of the listeners of one object none wins; between objects the earlier one
// does: the Gateway, then its ListenerSets by age (ListenerSet.spec.listeners). One that lost to an earlier object takes no other with it.
func conflicts(layers [][]*listener) {
	var accepted []*listener
	for _, layer := range layers {
		var rivals []*listener
		for _, l := range layer {
			if !l.competes() {
				continue
			}
			for _, other := range accepted {
				l.conflictsWith(other)
			}
			if l.conflict == nil {
				rivals = append(rivals, l)
			}
		}
		for i, l := range rivals {
			for j, other := range rivals {
				if i != j {
					l.conflictsWith(other)
				}
			}
		}
		for _, l := range layer {
			if l.valid() || l.shut() {
				accepted = append(accepted, l)
			}
		}
	}
}

// competes tells whether a listener has a claim on its port and host name.
func (l *listener) competes() bool {
	return l.rejected == nil || l.rejected.Reason == status.ReasonNoValidCACertificate || l.rejected == l.closed
}

func (l *listener) conflictsWith(other *listener) {
	if l.conflict != nil {
		return
	}
	switch reason := indistinct(l, other); reason {
	case status.ReasonHostnameConflict:
		l.conflict = ptr(status.Why(reason, "another listener on port %d has the same host name: change one of them", l.spec.Port))
	case status.ReasonProtocolConflict:
		l.conflict = ptr(status.Why(reason, "another listener on port %d speaks %s, which cannot share a port with %s: change the port of one of them",
			l.spec.Port, other.spec.Protocol, l.spec.Protocol))
	}
}
