// Package status holds the conditions that Leno writes: their types, reasons and messages, the wish to write them, and
// when two of them mean the same.
package status

import (
	"github.com/leno-mesh/leno/internal/mesh"
)

// ControllerName is how Leno names itself in route status and in XMesh.spec.controllerName.
const ControllerName = "mesh.leno.dev/controller"

// Want is the status one object should show. It is an output of building the graph and never an input to it.
type Want struct {
	Kind       string // "HTTPRoute"
	Name       mesh.Name
	Generation int64
	// Parents is one entry per parentRef that is Leno's, in the order of spec.parentRefs.
	Parents []Parent
}

// Parent is the status of a route towards one parentRef.
type Parent struct {
	Ref        ParentRef
	Conditions []Condition
}

// ParentRef repeats the fields of a route's parentRef as the user wrote them, so that status can be matched to spec.
type ParentRef struct {
	Group, Kind     string
	Namespace, Name string // Namespace "" when the user left it out
	SectionName     string
	Port            uint16 // 0 when the user left it out
}

// Condition is a Kubernetes condition without its time: the writer sets that when the meaning changes.
type Condition struct {
	Type    string
	Status  bool
	Reason  string
	Message string
}
