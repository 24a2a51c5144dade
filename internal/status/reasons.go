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

// ReasonUnknownFields is the one of the condition by that name.
const ReasonUnknownFields = "UnknownFields"

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

// ParentTaken: routes of another kind have the ports (GEP-1294).
func ParentTaken(service mesh.Name, routeKind, ports string) Problem {
	return problem(ReasonConflicted,
		"the %s has no effect on Service %s, %s: of several kinds of route on a port one is in effect, GRPCRoute before HTTPRoute before TLSRoute before TCPRoute",
		routeKind, service, ports)
}

// ListenerMissing: the parent has no such listener.
func ListenerMissing(kind string, parent mesh.Name, wanted string) Problem {
	return problem(ReasonNoMatchingParent, "%s %s has no listener %s: correct port and sectionName of the parentRef", kind, parent, wanted)
}

// ListenerForbids: no listener takes routes of that kind from there.
func ListenerForbids(kind string, parent mesh.Name, routeKind, routeNamespace string) Problem {
	return problem(ReasonNotAllowedByListeners,
		"no listener of %s %s that the parentRef means takes %ss of namespace %s: look at its protocol and allowedRoutes", kind, parent, routeKind, routeNamespace)
}

// ListenerHostname: route and listeners are for different hosts.
func ListenerHostname(kind string, parent mesh.Name, hostnames string) Problem {
	return problem(ReasonNoMatchingHostname,
		"none of the route's host names (%s) is one of a listener of %s %s: correct the hostnames of one of them", hostnames, kind, parent)
}

// ListenerTaken: a route of the other kind for HTTP has the hosts already.
func ListenerTaken(kind string, parent mesh.Name, routeKind string) Problem {
	return problem(ReasonConflicted,
		"on %s %s, a route of another kind than %s is attached for the same host names: give each kind its own hosts or listeners", kind, parent, routeKind)
}

// ParentPortOpaque: what the port is declared to carry is not what the route is about.
func ParentPortOpaque(service mesh.Name, routeKind, ports string) Problem {
	if routeKind == "TLSRoute" {
		return problem(ReasonNoMatchingParent,
			"no TLS can be seen on Service %s, %s: if the port carries TLS, give it appProtocol: tls", service, ports)
	}
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
func BackendProtocol(service mesh.Name, port int, protocol, routeKind string) Problem {
	return problem(ReasonUnsupportedProtocol,
		"port %d of Service %s is declared as %s, which %s cannot use: refer to another port or correct the declaration",
		port, service, protocol, article(routeKind))
}

// BackendKind: only Services can be backends.
func BackendKind(group, kind, name string) Problem {
	if group != "" {
		kind += "." + group
	}
	return problem(ReasonInvalidKind, "%s %q cannot be a backend: refer to a Service", kind, name)
}

// XBackendMissing: it is not there.
func XBackendMissing(name mesh.Name) Problem {
	return problem(ReasonBackendNotFound, "XBackend %s does not exist: create it or correct the reference", name)
}

// XBackendElsewhere: only routes of its own namespace may lead to it.
func XBackendElsewhere(name mesh.Name, routeNamespace string) Problem {
	return problem(ReasonRefNotPermitted, "XBackend %s can be a backend of routes in its own namespace only: make one in %s", name, routeNamespace)
}

// XBackendPort: it names its port itself (GEP-4894).
func XBackendPort(name mesh.Name) Problem {
	return problem(ReasonUnsupportedValue, "the reference to XBackend %s names a port: remove it, the XBackend names its own", name)
}

// XBackendInvalid: what is wrong stands in its own status, too.
func XBackendInvalid(name mesh.Name, p Problem) Problem {
	return problem(ReasonUnsupportedValue, "XBackend %s is not valid: %s", name, p.Text)
}

// XBackendProtocol: a route of that kind cannot use what it speaks.
func XBackendProtocol(name mesh.Name, protocol, routeKind string) Problem {
	return problem(ReasonUnsupportedProtocol, "XBackend %s speaks %s, which %s cannot use: refer to another one, or correct its protocol",
		name, protocol, article(routeKind))
}

// BackendExternalName: the Service is a DNS name for something else (CVE-2021-25740).
func BackendExternalName(service mesh.Name) Problem {
	return problem(ReasonInvalidKind,
		"Service %s is of type ExternalName, which cannot be a backend: refer to a Service with endpoints", service)
}

// BackendForbidden: a grant is missing.
func BackendForbidden(service mesh.Name, routeKind, routeNamespace string) Problem {
	return problem(ReasonRefNotPermitted,
		"the reference to Service %s is not permitted: its namespace %s needs a ReferenceGrant from %ss of %s to Services",
		service, service.Namespace, routeKind, routeNamespace)
}

// article puts the article in front of a kind.
func article(kind string) string {
	if strings.HasPrefix(kind, "H") { // as it is spoken
		return "an " + kind
	}
	return "a " + kind
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
