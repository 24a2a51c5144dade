package xds

import (
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Unchanged tells, from pointers alone, that a resource is surely the same in both meshes, for whoever has that scope. False
// says nothing. It pays where only endpoints changed: everything else is then shared between the two.
func Unchanged(old, next *mesh.Mesh, typeURL, name, scope string) bool {
	if gateway, ok := strings.CutPrefix(scope, gatewayScope); ok {
		if !sameGateway(old, next, gateway) {
			return false
		}
		if typeURL != ClusterType {
			return true
		}
	}
	if at, ok := registryOf(typeURL, name, scope); ok {
		return sameRegistry(old, next, at)
	}
	switch typeURL {
	case ListenerType:
		return sameListener(old, next, name)
	case RouteType:
		sp, _, ok := parseRoute(name)
		return ok && sameService(old, next, sp)
	case ClusterType, EndpointType:
		if pod, ok := parsePodCluster(name); ok {
			return sameWorkload(old, next, old.WorkloadByIP[pod.Addr()], next.WorkloadByIP[pod.Addr()])
		}
		sp, ok := parseCluster(name)
		return ok && sameService(old, next, sp) && sameEndpoints(old, next, sp)
	}
	return false
}

func sameListener(old, next *mesh.Mesh, name string) bool {
	dst, ok := ParseListenerName(name)
	if !ok {
		return false // the inbound listener, too: it is the pod's own and cheap
	}
	sp, ok := next.Frontends[dst]
	if ok {
		return old.Frontends[dst] == sp && sameService(old, next, sp)
	}
	if _, was := old.Frontends[dst]; was {
		return false
	}
	return sameWorkload(old, next, old.WorkloadByIP[dst.Addr()], next.WorkloadByIP[dst.Addr()])
}

// registryOf tells whose registered hosts a resource is made of, if it is.
func registryOf(typeURL, name, scope string) (mesh.Registry, bool) {
	switch typeURL {
	case ListenerType:
		dst, ok := ParseListenerName(name)
		return mesh.Registry{Namespace: scope, Port: dst.Port()}, ok && dst.Addr().IsUnspecified()
	case RouteType:
		namespace, port, ok := parseRegisteredRoute(name)
		return mesh.Registry{Namespace: namespace, Port: port}, ok
	}
	return mesh.Registry{}, false
}

// sameRegistry compares lists by where they are stored, and the XBackends in them by pointer.
func sameRegistry(old, next *mesh.Mesh, at mesh.Registry) bool {
	a, b := old.Registered[at], next.Registered[at]
	if len(a) == 0 || len(a) != len(b) || &a[0] != &b[0] || old.Settings != next.Settings {
		return false
	}
	for _, to := range b {
		if !sameService(old, next, to) {
			return false
		}
	}
	return true
}

func sameGateway(old, next *mesh.Mesh, gateway string) bool {
	namespace, name, _ := strings.Cut(gateway, "/")
	g := next.Gateways[mesh.Name{Namespace: namespace, Name: name}]
	return g != nil && old.Gateways[g.Name] == g
}

func sameService(old, next *mesh.Mesh, sp mesh.ServicePort) bool {
	s := service(next, sp)
	return s != nil && service(old, sp) == s
}

func sameWorkload(old, next *mesh.Mesh, was, is mesh.Name) bool {
	w := next.Workloads[is]
	return w != nil && was == is && old.Workloads[was] == w
}

// sameEndpoints compares slices by where they are stored, and the pods behind them by pointer.
func sameEndpoints(old, next *mesh.Mesh, sp mesh.ServicePort) bool {
	a, b := old.Endpoints[sp], next.Endpoints[sp]
	if len(a) != len(b) || len(a) > 0 && &a[0] != &b[0] {
		return false
	}
	for _, e := range b {
		if old.Workloads[e.Workload] != next.Workloads[e.Workload] {
			return false
		}
	}
	return true
}
