// Package status holds the conditions that Leno writes: their types, reasons and messages, the wish to write them, and
// when two of them mean the same.
package status

import (
	"github.com/leno-mesh/leno/internal/mesh"
)

// ControllerName is how Leno names itself: in the status of routes and policies, in GatewayClass.spec.controllerName and in
// XMesh.spec.controllerName.
const ControllerName = "mesh.leno.dev/controller"

// Want is the status one object should show. It is an output of building the graph and never an input to it.
type Want struct {
	Kind       string // "HTTPRoute", "Gateway", …
	Name       mesh.Name
	Generation int64
	// Parents (routes) is one entry per parentRef that is Leno's, in the order of spec.parentRefs; of policies, one entry per
	// Gateway that the policy matters to (ancestors).
	Parents []Parent
	// Conditions (GatewayClass, Gateway, ListenerSet) are those of the object as a whole.
	Conditions []Condition
	// Listeners (Gateway, ListenerSet) in the order of spec.listeners.
	Listeners []Listener
	// Addresses (Gateway).
	Addresses []Address
	// ListenerSets (Gateway) is how many are attached.
	ListenerSets int32
	// Features (GatewayClass) are the names of supported features, sorted.
	Features []string
}

// Listener is the status of one listener.
type Listener struct {
	Name       string
	Kinds      []string // of routes that it takes, all of the group gateway.networking.k8s.io
	Attached   int32    // routes
	Conditions []Condition
}

// Address is one address of a Gateway.
type Address struct {
	Type        string // "IPAddress", "Hostname"
	Value       string
	Routability *string // "Cluster", "" for the default; nil: the cluster's definitions have no such field
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
