package status

import (
	"fmt"
	"strings"
)

// The types of a route's conditions (Gateway API, RouteConditionType).
const (
	TypeAccepted         = "Accepted"
	TypeResolvedRefs     = "ResolvedRefs"
	TypePartiallyInvalid = "PartiallyInvalid"
)

// TypeUnknownFields, which is not the specification's, is there only when it is true. It is true for all objects alike.
const TypeUnknownFields = "UnknownFields"

// RouteTypes are the types of condition that Leno writes for a route. Conditions of other types are somebody else's.
func RouteTypes() []string {
	return []string{TypeAccepted, TypeResolvedRefs, TypePartiallyInvalid, TypeUnknownFields}
}

// Accepted says that a route is in effect. Notes tell what a reader might not expect of it.
func Accepted(parentKind string, notes []string) Condition {
	message := "The route is in effect for the traffic to this " + parentKind
	if len(notes) > 0 {
		message += ". Note: " + strings.Join(notes, "; ")
	}
	return Condition{Type: TypeAccepted, Status: true, Reason: ReasonAccepted, Message: message}
}

// Unattached says why a route has no effect at all on a parent.
func Unattached(p Problem) Condition {
	return Condition{Type: TypeAccepted, Reason: p.Reason, Message: p.Text}
}

// Invalid says what is wrong with a route of which no rule is valid: the reason of the first problem and the text of all. At
// least one is needed.
func Invalid(problems []Problem) Condition {
	return Condition{
		Type: TypeAccepted, Reason: problems[0].Reason,
		Message: "No rule of the route is valid: " + texts(problems) + ". Requests that match it are answered with 500",
	}
}

// PartiallyInvalid says which rules of an accepted route are not in effect. The first words are the specification's.
func PartiallyInvalid(problems []Problem) Condition {
	return Condition{
		Type: TypePartiallyInvalid, Status: true, Reason: ReasonUnsupportedValue,
		Message: "Dropped Rule: " + texts(problems) + ". Requests that match a dropped rule are answered with 500",
	}
}

// ResolvedRefs says whether all references of a route can be followed.
func ResolvedRefs(problems []Problem) Condition {
	if len(problems) == 0 {
		return Condition{
			Type: TypeResolvedRefs, Status: true, Reason: ReasonResolvedRefs, Message: "All references are resolved",
		}
	}
	return Condition{
		Type: TypeResolvedRefs, Reason: problems[0].Reason,
		Message: texts(problems) + ". Requests for such a backend are answered with 500, connections to it are refused",
	}
}

// UnknownFields says that fields of an object have no effect: named are some of them, at least one, and more is how many there are
// beyond those.
func UnknownFields(named []string, more int) Condition {
	list, are, fields := strings.Join(named, ", "), "is not known to this version of Leno and has no effect", "field"
	if more > 0 {
		list = fmt.Sprintf("%s and %d more", list, more)
	}
	if len(named)+more > 1 {
		are, fields = "are not known to this version of Leno and have no effect", "fields"
	}
	return True(TypeUnknownFields, ReasonUnknownFields, "%s %s: upgrade Leno, or remove the %s", list, are, fields)
}

func texts(problems []Problem) string {
	all := make([]string, len(problems))
	for i, p := range problems {
		all[i] = p.Text
	}
	return strings.Join(all, "; ")
}
