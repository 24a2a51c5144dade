package graph

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// target is what a BackendTLSPolicy is about: a Service, or one of its ports by name.
type target struct {
	service mesh.Name
	section string
}

// validation is how the other end of TLS proves who it is, as an object says it.
type validation struct {
	tls *mesh.BackendTLS
	// refused is why nothing can be proven.
	refused  *status.Problem
	problems []status.Problem // with references
}

// tlsPolicy is one BackendTLSPolicy.
type tlsPolicy struct {
	name   mesh.Name
	object *gatewayv1.BackendTLSPolicy
	validation
	// conflict names the policy that has one of its targets already.
	conflict string
	targets  []target // that it has
	services map[mesh.Name]bool
}

// tlsPolicies are all of them, the older first.
type tlsPolicies struct {
	all     []*tlsPolicy
	targets map[target]*tlsPolicy
}

// tlsPoliciesOf reads the BackendTLSPolicies. Of two for the same target the older one has it (BackendTLSPolicy.spec.targetRefs).
func tlsPoliciesOf(in map[mesh.Name]*gatewayv1.BackendTLSPolicy, refs *references) *tlsPolicies {
	out := &tlsPolicies{targets: map[target]*tlsPolicy{}}
	for name, object := range in {
		out.all = append(out.all, tlsPolicyOf(name, object, refs))
	}
	slices.SortFunc(out.all, func(a, b *tlsPolicy) int {
		return cmp.Or(a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time), compareNames(a.name, b.name))
	})
	for _, p := range out.all {
		for _, ref := range p.object.Spec.TargetRefs {
			if ref.Group != "" || ref.Kind != "Service" {
				continue
			}
			at := target{mesh.Name{Namespace: p.name.Namespace, Name: string(ref.Name)}, deref(ref.SectionName)}
			p.services[at.service] = true
			switch other := out.targets[at]; {
			case other == nil:
				out.targets[at] = p
				p.targets = append(p.targets, at)
			case other != p:
				p.conflict = other.name.String()
			}
		}
	}
	return out
}

func tlsPolicyOf(name mesh.Name, object *gatewayv1.BackendTLSPolicy, refs *references) *tlsPolicy {
	origin := mesh.Origin{Kind: "BackendTLSPolicy", Namespace: name.Namespace, Name: name.Name, Generation: object.Generation}
	return &tlsPolicy{name: name, object: object, services: map[mesh.Name]bool{}, validation: validationOf(object.Spec.Validation, origin, refs)}
}

// validationOf reads the validation of an object.
func validationOf(v gatewayv1.BackendTLSPolicyValidation, origin mesh.Origin, refs *references) validation {
	p := validation{tls: &mesh.BackendTLS{Origin: origin, Hostname: string(v.Hostname)}}
	for _, san := range v.SubjectAltNames {
		switch san.Type {
		case gatewayv1.HostnameSubjectAltNameType:
			p.tls.SANs = append(p.tls.SANs, mesh.SAN{DNS: string(san.Hostname)})
		case gatewayv1.URISubjectAltNameType:
			p.tls.SANs = append(p.tls.SANs, mesh.SAN{URI: string(san.URI)})
		default:
			p.refused = ptr(status.Why(status.ReasonInvalid, "subjectAltNames of type %.40q are not supported: use Hostname or URI", san.Type))
		}
	}
	switch wellKnown := deref(v.WellKnownCACertificates); {
	case len(v.CACertificateRefs) > 0:
		p.readRoots(v.CACertificateRefs, origin, refs)
	case wellKnown != string(gatewayv1.WellKnownCACertificatesSystem):
		p.refused = ptr(status.Why(status.ReasonInvalid, "wellKnownCACertificates %.100q is not supported: use System, or caCertificateRefs", wellKnown))
	}
	if p.refused != nil {
		p.tls.Fail = &mesh.Failure{Status: failStatus, Reason: p.refused.Reason, Message: fmt.Sprintf("%s %s/%s: %s", origin.Kind, origin.Namespace, origin.Name, p.refused.Text)}
	}
	return p
}

func (p *validation) readRoots(in []gatewayv1.LocalObjectReference, origin mesh.Origin, refs *references) {
	named := make([]gatewayv1.ObjectReference, len(in))
	for i, ref := range in {
		named[i] = gatewayv1.ObjectReference{Group: ref.Group, Kind: ref.Kind, Name: ref.Name}
	}
	p.tls.Roots, p.problems = refs.authorities(named, referrer{
		kind: origin.Kind, namespace: origin.Namespace,
		invalidRef: status.ReasonInvalidCACertificateRef, invalidKind: status.ReasonInvalidKind,
	})
	if len(p.tls.Roots) == 0 {
		p.refused = ptr(status.Why(status.ReasonNoValidCACertificate, "no authority can be used: %s", p.problems[0].Text))
	}
}

// of finds the policy for a port, by its name before its Service.
func (t *tlsPolicies) of(service mesh.Name, port string) *tlsPolicy {
	if port != "" {
		if p := t.targets[target{service, port}]; p != nil {
			return p
		}
	}
	return t.targets[target{service, ""}]
}

// covers tells whether a policy says how to speak TLS to a port.
func (t *tlsPolicies) covers(service mesh.Name, port string) bool { return t.of(service, port) != nil }

// publish gives the ports of services their policies.
func (t *tlsPolicies) publish(services map[mesh.Name]*mesh.Service) {
	for at := range t.targets {
		svc := services[at.service]
		if svc == nil {
			continue
		}
		for i := range svc.Ports {
			if p := t.of(at.service, svc.Ports[i].Name); p != nil && !svc.Ports[i].UDP {
				svc.Ports[i].TLS = p.tls
			}
		}
	}
}

// maxAncestors is how many ancestors the status of a policy can have.
const maxAncestors = 16

// wants is the status of all policies: for each Gateway whose routes lead to the Service.
func (t *tlsPolicies) wants(g *gateways) []status.Want {
	users := map[mesh.Name]map[mesh.Name]bool{} // by Service
	for name, to := range g.destinations() {
		if to.XBackend {
			continue
		}
		if users[to.Name] == nil {
			users[to.Name] = map[mesh.Name]bool{}
		}
		users[to.Name][name] = true
	}
	all := slices.SortedFunc(slices.Values(t.all), func(a, b *tlsPolicy) int { return compareNames(a.name, b.name) })
	out := make([]status.Want, 0, len(all))
	for _, p := range all {
		want := status.Want{Kind: "BackendTLSPolicy", Name: p.name, Generation: p.object.Generation}
		gateways := map[mesh.Name]bool{}
		for service := range p.services {
			maps.Copy(gateways, users[service])
		}
		for _, name := range slices.SortedFunc(maps.Keys(gateways), compareNames) {
			if len(want.Parents) < maxAncestors {
				want.Parents = append(want.Parents, status.Parent{
					Ref:        status.ParentRef{Group: gatewayv1.GroupName, Kind: "Gateway", Namespace: name.Namespace, Name: name.Name},
					Conditions: p.conditions(),
				})
			}
		}
		out = append(out, want)
	}
	return out
}

func (p *tlsPolicy) conditions() []status.Condition {
	accepted := status.True(status.TypeAccepted, status.ReasonAccepted, "The policy is in effect for requests of gateways")
	switch {
	case p.conflict != "":
		accepted = status.False(status.TypeAccepted, status.ReasonConflicted, "BackendTLSPolicy %s, which is older, has the same target: remove one of them", p.conflict)
	case p.refused != nil:
		accepted = status.Because(status.TypeAccepted, []status.Problem{*p.refused})
		accepted.Message += ". Requests are answered with 500"
	}
	resolved := status.True(status.TypeResolvedRefs, status.ReasonResolvedRefs, "All references are resolved")
	if len(p.problems) > 0 {
		resolved = status.Because(status.TypeResolvedRefs, p.problems)
	}
	return []status.Condition{accepted, resolved}
}

// destinations are what the routes and filters of gateways lead to, by the Gateway's name, in no order; some more than once.
func (g *gateways) destinations() iter.Seq2[mesh.Name, mesh.ServicePort] {
	return func(yield func(mesh.Name, mesh.ServicePort) bool) {
		for name, one := range g.byName {
			for _, l := range one.all() {
				for to := range l.destinations() {
					if !yield(name, to) {
						return
					}
				}
			}
		}
	}
}

// destinations are what the routes of a listener lead to, and whom its filters ask.
func (l *listener) destinations() map[mesh.ServicePort]bool {
	out := map[mesh.ServicePort]bool{}
	for _, f := range l.filters {
		out[f.Server] = true
	}
	for _, a := range l.attached {
		maps.Copy(out, a.rules.destinations())
	}
	return out
}

// all are the listeners of a gateway and its sets.
func (g *gateway) all() []*listener {
	out := slices.Clone(g.listeners)
	for _, set := range g.sets {
		if set.allowed {
			out = append(out, set.listeners...)
		}
	}
	return out
}

// destinations are what rules lead to.
func (s *ruleSet) destinations() map[mesh.ServicePort]bool {
	out := map[mesh.ServicePort]bool{}
	for i := range s.entries {
		for to := range s.entries[i].Rule.Destinations() {
			out[to] = true
		}
	}
	for to := range s.split.Destinations() {
		out[to] = true
	}
	return out
}
