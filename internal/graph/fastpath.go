package graph

import (
	"maps"
	"reflect"
	"slices"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// Endpoints is the short way for the most frequent news: prev, which must be what Build or Endpoints made of the Snapshot that
// s was made from by With, with new endpoints for the Services whose EndpointSlices changed. Everything else is shared with
// prev, the endpoints of other Services too. It is prev itself when nothing changed that anyone reads, and nil when more than
// endpoints changed; then Build is needed.
func Endpoints(s *snapshot.Snapshot, prev *mesh.Mesh, opts Options) *mesh.Mesh {
	changes := s.Changes()
	for kind := range changes.Kinds {
		if kind != snapshot.KindEndpointSlice && kind != snapshot.KindPod && read(kind) {
			return nil
		}
	}
	touched := changes.Services
	if len(changes.Pods) > 0 {
		var endpointsOnly bool
		touched, endpointsOnly = podsTouch(s, prev, opts)
		if !endpointsOnly {
			return nil
		}
	}
	for name := range touched {
		if isGatewayService(s, name) {
			return nil // whether it has endpoints is in the status of its Gateway
		}
	}
	e := &endpoints{snapshot: s, workloads: prev.Workloads, byIP: prev.WorkloadByIP}
	changed := map[mesh.ServicePort][]mesh.Endpoint{}
	for name := range touched {
		svc := prev.Services[name]
		if svc == nil {
			continue
		}
		for _, port := range svc.Ports {
			key := mesh.ServicePort{Name: name, Port: port.Number, UDP: port.UDP}
			if list := e.of(svc, port); !slices.Equal(list, prev.Endpoints[key]) {
				changed[key] = list
			}
		}
	}
	if len(changed) == 0 {
		return prev
	}
	next := *prev
	next.Endpoints = maps.Clone(prev.Endpoints)
	for key, list := range changed {
		if len(list) > 0 {
			next.Endpoints[key] = list
		} else {
			delete(next.Endpoints, key)
		}
	}
	return &next
}

// isGatewayService tells whether a Service was made for a Gateway.
func isGatewayService(s *snapshot.Snapshot, name mesh.Name) bool {
	service := s.Services[name]
	return service != nil && service.Labels[mesh.LabelGatewayName] != ""
}

// read tells whether Build looks at a kind at all.
func read(kind snapshot.Kind) bool {
	return kind != snapshot.KindServiceAccount
}

// podsTouch names the Services to look at again when pods changed too; false when a pod changed in a way that more than
// endpoints depends on. Pods change all the time in ways that nobody reads.
func podsTouch(s *snapshot.Snapshot, prev *mesh.Mesh, opts Options) (map[mesh.Name]bool, bool) {
	touched := maps.Clone(s.Changes().Services)
	trustDomain := settingsOf(s.Mesh(), opts).TrustDomain
	namespaces := map[string]bool{}
	for name := range s.Changes().Pods {
		namespaces[name.Namespace] = true
	}
	selectors := selectorsOf(s.Services, namespaces)
	for name := range s.Changes().Pods {
		pod, was := s.Pods[name], prev.Workloads[name]
		var is *mesh.Workload
		if pod != nil {
			is = workloadOf(name, pod, s.Nodes, trustDomain, selectors)
		}
		if !reflect.DeepEqual(is, was) {
			return nil, false
		}
		if is == nil && (pod == nil || pod.Spec.HostNetwork) {
			// Endpoints may name it although it is no workload.
			for service := range prev.Services {
				if service.Namespace == name.Namespace {
					touched[service] = true
				}
			}
		}
	}
	return touched, true
}
