// Package routestatus merges the status that Leno wants for a route into what the route has. It is a function of its
// arguments; whoever writes the result owns the client.
package merge

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/status"
)

// maxParents is how many parents' status a route can have.
const maxParents = 32

// Parents is a route's status.parents as it should be, and whether it means anything else than existing, which stays as it is.
// Entries of other controllers stay, and so do conditions of other types in Leno's own entries. Leno's entries for parents that
// are not wanted any more go. A condition keeps its time of transition as long as its status stays.
func Parents(existing []gatewayv1.RouteParentStatus, want status.Want, now metav1.Time) (merged []gatewayv1.RouteParentStatus, changed bool) {
	var ours []gatewayv1.RouteParentStatus
	for _, parent := range existing {
		if parent.ControllerName == status.ControllerName {
			ours = append(ours, parent)
		} else {
			merged = append(merged, parent)
		}
	}
	for _, parent := range want.Parents {
		if len(merged) == maxParents {
			break
		}
		before := find(ours, parent.Ref)
		entry := gatewayv1.RouteParentStatus{ParentRef: reference(parent.Ref), ControllerName: status.ControllerName}
		if before != nil {
			entry.Conditions = before.Conditions
		} else {
			changed = true
		}
		var differs bool
		entry.Conditions, differs = conditions(entry.Conditions, parent.Conditions, status.RouteTypes(), want.Generation, now)
		changed = changed || differs
		merged = append(merged, entry)
	}
	changed = changed || len(merged) != len(existing)
	if !changed {
		return existing, false
	}
	return merged, true
}

// find looks for the entry of a parent; nil if there is none.
func find(parents []gatewayv1.RouteParentStatus, ref status.ParentRef) *gatewayv1.RouteParentStatus {
	for i := range parents {
		if Ref(parents[i].ParentRef) == ref {
			return &parents[i]
		}
	}
	return nil
}

func reference(ref status.ParentRef) gatewayv1.ParentReference {
	group, kind := gatewayv1.Group(ref.Group), gatewayv1.Kind(ref.Kind)
	out := gatewayv1.ParentReference{Group: &group, Kind: &kind, Name: gatewayv1.ObjectName(ref.Name)}
	if ref.Namespace != "" {
		namespace := gatewayv1.Namespace(ref.Namespace)
		out.Namespace = &namespace
	}
	if ref.SectionName != "" {
		section := gatewayv1.SectionName(ref.SectionName)
		out.SectionName = &section
	}
	if ref.Port != 0 {
		port := gatewayv1.PortNumber(ref.Port)
		out.Port = &port
	}
	return out
}

// Ref is a route's reference to a parent in plain words: what is not there is empty.
func Ref(ref gatewayv1.ParentReference) status.ParentRef {
	out := status.ParentRef{
		Group: text(ref.Group), Kind: text(ref.Kind), Namespace: text(ref.Namespace), Name: string(ref.Name),
		SectionName: text(ref.SectionName),
	}
	if ref.Port != nil {
		out.Port = uint16(*ref.Port)
	}
	return out
}

func text[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}
