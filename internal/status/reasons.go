package status

import (
	"fmt"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// The reasons of a route's conditions (Gateway API, RouteConditionReason).
const (
	ReasonAccepted            = "Accepted"
	ReasonNoMatchingParent    = "NoMatchingParent"
	ReasonUnsupportedValue    = "UnsupportedValue"
	ReasonIncompatibleFilters = "IncompatibleFilters"
	ReasonResolvedRefs        = "ResolvedRefs"
	ReasonRefNotPermitted     = "RefNotPermitted"
	ReasonInvalidKind         = "InvalidKind"
	ReasonBackendNotFound     = "BackendNotFound"
	ReasonUnsupportedProtocol = "UnsupportedProtocol"
)

// Problem is one thing that is wrong with an object: why, and a text that tells its reader what to do.
type Problem struct {
	Reason string
	Text   string
}

// In tells where in the object the problem is.
func (p Problem) In(where string) Problem {
	p.Text = where + ": " + p.Text
	return p
}

func problem(reason, format string, args ...any) Problem {
	return Problem{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// What can be wrong with a parentRef.

// ParentMissing: the Service is not there. (The specification has no reason of its own for that.)
func ParentMissing(service mesh.Name) Problem {
	return problem(ReasonNoMatchingParent, "Service %s does not exist: create it or correct the parentRef", service)
}

// ParentHeadless: the Service has no address of its own (GEP-1294, "Allowed service types").
func ParentHeadless(service mesh.Name) Problem {
	return problem(ReasonNoMatchingParent,
		"Service %s is headless: clients connect to its pods, not to the Service, so no route can apply; "+
			"attach the route to a Service with a ClusterIP", service)
}

// ParentExternalName: the Service is a DNS name for something else.
func ParentExternalName(service mesh.Name) Problem {
	return problem(ReasonNoMatchingParent,
		"Service %s is of type ExternalName, which has no address in the mesh; attach the route to a Service with a ClusterIP",
		service)
}

// ParentPortMissing: the Service has no such port.
func ParentPortMissing(service mesh.Name, wanted, has string) Problem {
	return problem(ReasonNoMatchingParent, "Service %s has no TCP port %s, it has %s: correct port and sectionName of the parentRef",
		service, wanted, orNone(has))
}

// ParentPortOpaque: the port carries something that is not HTTP as far as anyone can see.
func ParentPortOpaque(service mesh.Name, ports string) Problem {
	return problem(ReasonNoMatchingParent,
		"no HTTP can be seen on Service %s, %s: if the port carries plain HTTP, give it appProtocol: http", service, ports)
}

// What can be wrong with a backendRef.

// BackendMissing: the Service is not there.
func BackendMissing(service mesh.Name) Problem {
	return problem(ReasonBackendNotFound, "Service %s does not exist: create it or correct the reference", service)
}

// BackendPortMissing: the Service has no such port.
func BackendPortMissing(service mesh.Name, port int, has string) Problem {
	return problem(ReasonBackendNotFound, "Service %s has no port %d, it has %s: correct the port of the reference",
		service, port, orNone(has))
}

// BackendPortUnset: a reference to a Service must name a port.
func BackendPortUnset(service mesh.Name) Problem {
	return problem(ReasonBackendNotFound, "the reference to Service %s names no port: set port to one of the Service's ports", service)
}

// BackendProtocol: the port cannot be spoken to with HTTP.
func BackendProtocol(service mesh.Name, port int, protocol string) Problem {
	return problem(ReasonUnsupportedProtocol,
		"port %d of Service %s is declared as %s, which a route for HTTP cannot use: refer to another port or correct the declaration",
		port, service, protocol)
}

// BackendKind: only Services can be backends.
func BackendKind(group, kind, name string) Problem {
	if group != "" {
		kind += "." + group
	}
	return problem(ReasonInvalidKind, "%s %q cannot be a backend: refer to a Service", kind, name)
}

// BackendExternalName: the Service is a DNS name for something else (CVE-2021-25740).
func BackendExternalName(service mesh.Name) Problem {
	return problem(ReasonInvalidKind,
		"Service %s is of type ExternalName, which cannot be a backend: refer to a Service with endpoints", service)
}

// BackendForbidden: a grant is missing.
func BackendForbidden(service mesh.Name, routeNamespace string) Problem {
	return problem(ReasonRefNotPermitted,
		"the reference to Service %s is not permitted: its namespace %s needs a ReferenceGrant from HTTPRoutes of %s to Services",
		service, service.Namespace, routeNamespace)
}

// What can be wrong with a rule.

// Unsupported: a value that Leno does not know, or that the specification forbids.
func Unsupported(format string, args ...any) Problem {
	return problem(ReasonUnsupportedValue, format, args...)
}

// Incompatible: filters that cannot be combined.
func Incompatible(format string, args ...any) Problem {
	return problem(ReasonIncompatibleFilters, format, args...)
}

func orNone(list string) string {
	if strings.TrimSpace(list) == "" {
		return "none"
	}
	return list
}
