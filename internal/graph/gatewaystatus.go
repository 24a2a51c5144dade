package graph

import (
	"fmt"
	"maps"
	"slices"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// wants is the status of all classes, Gateways and ListenerSets that are ours, by kind and name.
func (g *gateways) wants(endpoints map[mesh.ServicePort][]mesh.Endpoint) []status.Want {
	var out []status.Want
	for _, name := range slices.SortedFunc(maps.Keys(g.classes), compareNames) {
		out = append(out, g.classWant(g.classes[name]))
	}
	standings := make(map[mesh.Name]standing, len(g.byName))
	for _, name := range slices.SortedFunc(maps.Keys(g.byName), compareNames) {
		standings[name] = g.standing(name, endpoints)
		out = append(out, g.byName[name].want(standings[name]))
	}
	for _, name := range slices.SortedFunc(maps.Keys(g.sets), compareNames) {
		set := g.sets[name]
		of := g.byName[parentGateway(name, set.object)]
		out = append(out, set.want(of, standings[of.name]))
	}
	return out
}

func (g *gateways) classWant(c *class) status.Want {
	want := status.Want{Kind: "GatewayClass", Name: c.name, Generation: c.object.Generation, Features: status.GatewayFeatures(g.definitions)}
	accepted := status.True(status.TypeAccepted, status.ReasonAccepted, "Leno makes the Gateways of this class")
	if c.refused != nil {
		accepted = status.Because(status.TypeAccepted, []status.Problem{*c.refused})
	}
	want.Conditions = []status.Condition{accepted}
	if definition := definitionIn(g.snapshot); definition != nil {
		want.Conditions = append(want.Conditions, supportedVersion(definition))
	}
	return want
}

func (g *gateway) want(s standing) status.Want {
	want := status.Want{Kind: "Gateway", Name: g.name, Generation: g.object.Generation, Addresses: s.addresses}
	accepted, usable := g.accepted()
	want.Conditions = append(want.Conditions, accepted, programmed(accepted, usable, s), g.resolved())
	if s.assigned != nil {
		want.Conditions = append(want.Conditions, *s.assigned)
	}
	if g.fallback() {
		want.Conditions = append(want.Conditions, status.True(status.TypeInsecureFallback, status.ReasonConfigurationChanged,
			"clients without a valid certificate are let in (AllowInsecureFallback): backends must decide"))
	}
	for _, l := range g.listeners {
		want.Listeners = append(want.Listeners, l.want(s))
	}
	for _, set := range g.sets {
		if accepted, _ := set.accepted(g); accepted.Status {
			want.ListenerSets++
		}
	}
	return want
}

// accepted tells whether a Gateway is, and whether there is anything to serve.
func (g *gateway) accepted() (c status.Condition, usable bool) {
	usable = slices.ContainsFunc(g.all(), (*listener).valid)
	switch {
	case g.refused != nil:
		return status.Because(status.TypeAccepted, []status.Problem{*g.refused}), false
	case !usable:
		return status.False(status.TypeAccepted, status.ReasonListenersNotValid, "no listener is valid: %s", wrongOnes(g.listeners)), false
	case slices.ContainsFunc(g.listeners, func(l *listener) bool { return !l.valid() }):
		return status.True(status.TypeAccepted, status.ReasonListenersNotValid, "some listeners are not valid and not served: %s", wrongOnes(g.listeners)), true
	}
	return status.True(status.TypeAccepted, status.ReasonAccepted, "all listeners are valid"), true
}

// wrongOnes names the listeners that take no traffic.
func wrongOnes(listeners []*listener) string {
	var out []string
	for _, l := range listeners {
		if p := l.problem(); p != nil {
			out = append(out, fmt.Sprintf("%s (%s)", l.spec.Name, p.Reason))
		}
	}
	return status.List(out)
}

// problem is why a listener takes no traffic.
func (l *listener) problem() *status.Problem {
	switch {
	case l.conflict != nil:
		return l.conflict
	case l.rejected != nil:
		return l.rejected
	case l.incomplete != nil && len(l.unresolved) > 0:
		return &l.unresolved[0]
	}
	return l.incomplete
}

func programmed(accepted status.Condition, usable bool, s standing) status.Condition {
	switch {
	case !accepted.Status:
		return status.False(status.TypeProgrammed, status.ReasonInvalid, "not accepted: %s", accepted.Message)
	case s.pending != nil:
		return status.Because(status.TypeProgrammed, []status.Problem{*s.pending})
	case !usable:
		return status.False(status.TypeProgrammed, status.ReasonInvalid, "there is nothing to serve")
	}
	return status.True(status.TypeProgrammed, status.ReasonProgrammed, "the gateway takes traffic at its addresses")
}

// resolved sums up whether all references can be followed.
func (g *gateway) resolved() status.Condition {
	if len(g.unresolved) > 0 {
		return status.Because(status.TypeResolvedRefs, g.unresolved)
	}
	for _, l := range g.listeners {
		if len(l.unresolved) > 0 {
			return status.False(status.TypeResolvedRefs, status.ReasonListenersNotResolved, "listener %s: %s", l.spec.Name, l.unresolved[0].Text)
		}
	}
	return status.True(status.TypeResolvedRefs, status.ReasonResolvedRefs, "All references are resolved")
}

// fallback tells whether some listener lets clients in whose certificates are not valid.
func (g *gateway) fallback() bool {
	return slices.ContainsFunc(g.listeners, func(l *listener) bool {
		return l.termination != nil && l.termination.Clients != nil && l.termination.Clients.Fallback
	})
}

func (l *listener) want(s standing) status.Listener {
	out := status.Listener{Name: string(l.spec.Name), Kinds: l.kinds, Attached: int32(len(l.routes))}
	accepted := status.True(status.TypeAccepted, status.ReasonAccepted, "the listener is valid")
	programmed := status.True(status.TypeProgrammed, status.ReasonProgrammed, "the listener takes traffic")
	conflicted := status.False(status.TypeConflicted, status.ReasonNoConflicts, "the listener can be told from all others")
	switch {
	case l.conflict != nil:
		accepted = status.Because(status.TypeAccepted, []status.Problem{*l.conflict})
		programmed = status.Because(status.TypeProgrammed, []status.Problem{*l.conflict})
		conflicted = status.True(status.TypeConflicted, l.conflict.Reason, "%s", l.conflict.Text)
	case l.rejected != nil:
		accepted = status.Because(status.TypeAccepted, []status.Problem{*l.rejected})
		programmed = status.False(status.TypeProgrammed, status.ReasonInvalid, "not accepted: %s", l.rejected.Text)
	case l.incomplete != nil:
		programmed = status.Because(status.TypeProgrammed, []status.Problem{*l.incomplete})
	case s.pending != nil:
		programmed = status.False(status.TypeProgrammed, status.ReasonPending, "%s", s.pending.Text)
	}
	resolved := status.True(status.TypeResolvedRefs, status.ReasonResolvedRefs, "All references are resolved")
	if len(l.unresolved) > 0 {
		resolved = status.Because(status.TypeResolvedRefs, l.unresolved)
	}
	if l.closed != nil && l.rejected == nil {
		resolved.Message += ". Requests are answered with 500"
	}
	out.Conditions = []status.Condition{accepted, programmed, resolved, conflicted}
	return out
}

// accepted tells whether a ListenerSet is part of its gateway: whether some listener of it can take traffic (ListenerSetConditionAccepted
// asks for "some configuration in the underlying data plane").
func (set *listenerSet) accepted(of *gateway) (c status.Condition, usable bool) {
	parentAccepted, _ := of.accepted()
	usable = slices.ContainsFunc(set.listeners, (*listener).serves)
	switch {
	case !set.allowed:
		return status.False(status.TypeAccepted, status.ReasonNotAllowed,
			"Gateway %s does not take ListenerSets of namespace %s: see its spec.allowedListeners", of.name, set.name.Namespace), false
	case !usable:
		return status.False(status.TypeAccepted, status.ReasonListenersNotValid, "no listener can take traffic: %s", wrongOnes(set.listeners)), false
	case !parentAccepted.Status:
		return status.False(status.TypeAccepted, status.ReasonParentNotAccepted, "Gateway %s is not accepted: see its status", of.name), false
	case slices.ContainsFunc(set.listeners, func(l *listener) bool { return !l.serves() }):
		return status.True(status.TypeAccepted, status.ReasonListenersNotValid, "some listeners take no traffic: %s", wrongOnes(set.listeners)), true
	}
	return status.True(status.TypeAccepted, status.ReasonAccepted, "all listeners are valid"), true
}

func (set *listenerSet) want(of *gateway, s standing) status.Want {
	want := status.Want{Kind: "ListenerSet", Name: set.name, Generation: set.object.Generation}
	accepted, usable := set.accepted(of)
	done := programmed(accepted, usable, s)
	if !accepted.Status {
		done = status.False(status.TypeProgrammed, accepted.Reason, "%s", accepted.Message)
	}
	want.Conditions = []status.Condition{accepted, done}
	if !set.allowed {
		return want
	}
	for _, l := range set.listeners {
		want.Listeners = append(want.Listeners, l.want(s))
	}
	return want
}
