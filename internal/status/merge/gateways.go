package merge

import (
	"cmp"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/internal/status"
)

// comingAndGoing are the types of condition of a GatewayClass or a ListenerSet that Leno takes away again; the others are always there.
var comingAndGoing = []string{status.TypeUnknownFields}

// Class merges the status of a GatewayClass into it, and tells whether that changed anything.
func Class(class *gatewayv1.GatewayClass, want status.Want, now metav1.Time) bool {
	conditions, changed := conditions(class.Status.Conditions, want.Conditions, comingAndGoing, want.Generation, now)
	features := make([]gatewayv1.SupportedFeature, len(want.Features))
	for i, f := range want.Features {
		features[i].Name = gatewayv1.FeatureName(f)
	}
	changed = changed || !slices.Equal(class.Status.SupportedFeatures, features)
	class.Status.Conditions, class.Status.SupportedFeatures = conditions, features
	return changed
}

// Gateway merges the status of a Gateway into it, and tells whether that changed anything.
func Gateway(gateway *gatewayv1.Gateway, want status.Want, now metav1.Time) bool {
	s := &gateway.Status
	before := s.DeepCopy()
	var changed bool
	s.Conditions, changed = conditions(s.Conditions, want.Conditions, status.GatewayTypes(), want.Generation, now)
	s.Addresses = nil
	for _, a := range want.Addresses {
		kind := gatewayv1.AddressType(a.Type)
		one := gatewayv1.GatewayStatusAddress{Type: &kind, Value: a.Value}
		if a.Routability != nil {
			routability := gatewayv1.GatewayAddressRoutabilityType(*a.Routability)
			one.Routability = &routability
		}
		s.Addresses = append(s.Addresses, one)
	}
	listeners, differ := listeners(before.Listeners, want, now)
	s.Listeners, changed = listeners, changed || differ
	s.AttachedListenerSets = nil
	if want.ListenerSets > 0 || before.AttachedListenerSets != nil {
		s.AttachedListenerSets = &want.ListenerSets
	}
	return changed || !reflect.DeepEqual(before.Addresses, s.Addresses) || !reflect.DeepEqual(before.AttachedListenerSets, s.AttachedListenerSets)
}

// ListenerSet merges the status of a ListenerSet into it, and tells whether that changed anything.
func ListenerSet(set *gatewayv1.ListenerSet, want status.Want, now metav1.Time) bool {
	s := &set.Status
	before := make([]gatewayv1.ListenerStatus, len(s.Listeners))
	for i, l := range s.Listeners {
		before[i] = gatewayv1.ListenerStatus(*l.DeepCopy())
	}
	var changed bool
	s.Conditions, changed = conditions(s.Conditions, want.Conditions, comingAndGoing, want.Generation, now)
	merged, differ := listeners(before, want, now)
	s.Listeners = nil
	for _, l := range merged {
		s.Listeners = append(s.Listeners, gatewayv1.ListenerEntryStatus(l))
	}
	return changed || differ
}

// listeners merges what is known of listeners, and tells whether that changed anything.
func listeners(before []gatewayv1.ListenerStatus, want status.Want, now metav1.Time) (merged []gatewayv1.ListenerStatus, changed bool) {
	for _, l := range want.Listeners {
		one := gatewayv1.ListenerStatus{Name: gatewayv1.SectionName(l.Name), SupportedKinds: kinds(l.Kinds), AttachedRoutes: l.Attached}
		i := slices.IndexFunc(before, func(e gatewayv1.ListenerStatus) bool { return e.Name == one.Name })
		if i >= 0 {
			one.Conditions = before[i].Conditions
		}
		var differs bool
		one.Conditions, differs = conditions(one.Conditions, l.Conditions, nil, want.Generation, now)
		changed = changed || differs || i < 0
		merged = append(merged, one)
	}
	return merged, changed || !slices.EqualFunc(before, merged, func(a, b gatewayv1.ListenerStatus) bool {
		return a.Name == b.Name && a.AttachedRoutes == b.AttachedRoutes && sameKinds(a.SupportedKinds, b.SupportedKinds)
	})
}

// kinds are kinds of route; the list is there even if it is empty.
func kinds(names []string) []gatewayv1.RouteGroupKind {
	out := make([]gatewayv1.RouteGroupKind, len(names))
	for i, name := range names {
		group := gatewayv1.Group(gatewayv1.GroupName)
		out[i] = gatewayv1.RouteGroupKind{Group: &group, Kind: gatewayv1.Kind(name)}
	}
	return out
}

func sameKinds(a, b []gatewayv1.RouteGroupKind) bool {
	group := func(k gatewayv1.RouteGroupKind) gatewayv1.Group {
		if k.Group == nil {
			return gatewayv1.GroupName
		}
		return *k.Group
	}
	return slices.EqualFunc(a, b, func(a, b gatewayv1.RouteGroupKind) bool {
		return cmp.Compare(a.Kind, b.Kind) == 0 && group(a) == group(b)
	})
}

// Policy merges the status of a policy into it, and tells whether that changed anything. Ancestors that other controllers speak of stay.
func Policy(s *gatewayv1.PolicyStatus, want status.Want, now metav1.Time) bool {
	existing := make([]gatewayv1.RouteParentStatus, len(s.Ancestors))
	for i, a := range s.Ancestors {
		existing[i] = gatewayv1.RouteParentStatus{ParentRef: a.AncestorRef, ControllerName: a.ControllerName, Conditions: a.Conditions}
	}
	merged, changed := Parents(existing, want, now)
	s.Ancestors = make([]gatewayv1.PolicyAncestorStatus, 0, len(merged))
	for _, p := range merged[:min(len(merged), maxAncestors)] {
		s.Ancestors = append(s.Ancestors, gatewayv1.PolicyAncestorStatus{AncestorRef: p.ParentRef, ControllerName: p.ControllerName, Conditions: p.Conditions})
	}
	return changed
}

// XBackend puts the wish for an XBackend into its status, and tells whether that changed anything.
func XBackend(o *xv1alpha1.XBackend, want status.Want, now metav1.Time) bool {
	existing := make([]gatewayv1.RouteParentStatus, len(o.Status.Ancestors))
	for i, a := range o.Status.Ancestors {
		existing[i] = gatewayv1.RouteParentStatus{ParentRef: a.AncestorRef, ControllerName: a.ControllerName, Conditions: a.Conditions}
	}
	merged, changed := Parents(existing, want, now)
	o.Status.Ancestors = make([]xv1alpha1.BackendAncestorStatus, 0, len(merged))
	for _, p := range merged {
		o.Status.Ancestors = append(o.Status.Ancestors, xv1alpha1.BackendAncestorStatus{AncestorRef: p.ParentRef, ControllerName: p.ControllerName, Conditions: p.Conditions})
	}
	return changed
}

// maxAncestors is how many a policy's status can have.
const maxAncestors = 16
