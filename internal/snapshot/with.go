package snapshot

import (
	"maps"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// With is the picture after some events. It shares every map that no event touches, and is s itself when the events tell
// nothing new. Events of different objects may come in any order; of two events of one object the later one counts.
func (s *Snapshot) With(events []Event) *Snapshot {
	next := *s
	d := draft{next: &next, owned: map[Kind]bool{}}
	d.next.changes = Changes{Kinds: map[Kind]bool{}, Pods: map[mesh.Name]bool{}, Services: map[mesh.Name]bool{}}
	for _, e := range events {
		d.apply(e)
		d.putUnknown(e)
	}
	if len(next.changes.Kinds) == 0 {
		return s
	}
	return &next
}

// draft is a Snapshot being made: the maps of the owned kinds are copies, the others belong to the predecessor.
type draft struct {
	next         *Snapshot
	owned        map[Kind]bool
	ownedSlices  bool
	ownedUnknown bool
}

func (d *draft) apply(e Event) {
	n := d.next
	switch e.Ref.Kind {
	case KindService:
		put(d, &n.Services, e, sameVersion)
	case KindEndpointSlice:
		d.putSlice(e)
	case KindPod:
		if put(d, &n.Pods, e, sameVersion) {
			n.changes.Pods[e.Ref.Name] = true
		}
	case KindNamespace:
		put(d, &n.Namespaces, e, sameLabels)
	case KindServiceAccount:
		put(d, &n.ServiceAccounts, e, sameLabels)
	case KindNode:
		put(d, &n.Nodes, e, sameLabels)
	case KindSecret:
		put(d, &n.Secrets, e, sameVersion)
	case KindConfigMap:
		put(d, &n.ConfigMaps, e, sameVersion)
	case KindTrustBundle:
		put(d, &n.TrustBundles, e, sameVersion) // they have no generation
	case KindGatewayClass:
		put(d, &n.GatewayClasses, e, sameGeneration)
	case KindGateway:
		put(d, &n.Gateways, e, sameGeneration)
	case KindListenerSet:
		put(d, &n.ListenerSets, e, sameGeneration)
	case KindHTTPRoute:
		put(d, &n.HTTPRoutes, e, sameGeneration)
	case KindGRPCRoute:
		put(d, &n.GRPCRoutes, e, sameGeneration)
	case KindTLSRoute:
		put(d, &n.TLSRoutes, e, sameGeneration)
	case KindTCPRoute:
		put(d, &n.TCPRoutes, e, sameGeneration)
	case KindUDPRoute:
		put(d, &n.UDPRoutes, e, sameGeneration)
	case KindBackendTLS:
		put(d, &n.BackendTLS, e, sameGeneration)
	case KindBackendTraffic:
		put(d, &n.BackendTraffic, e, sameGeneration)
	case KindXBackend:
		put(d, &n.XBackends, e, sameGeneration)
	case KindReferenceGrant:
		put(d, &n.ReferenceGrants, e, sameGeneration)
	case KindGatewayParameters:
		put(d, &n.GatewayParameters, e, sameGeneration)
	case KindMesh:
		put(d, &n.Meshes, e, sameGeneration)
	case KindDefinition:
		put(d, &n.Definitions, e, sameVersion)
	}
}

// put applies e to the map of its kind and tells whether that changed anything.
func put[T Object](d *draft, of *map[mesh.Name]T, e Event, same func(a, b metav1.Object) bool) bool {
	old, had := (*of)[e.Ref.Name]
	obj, has := e.Object.(T)
	switch {
	case !had && !has:
		return false
	case had && has && same(old, obj):
		return false
	}
	if !d.owned[e.Ref.Kind] {
		d.owned[e.Ref.Kind] = true
		*of = maps.Clone(*of)
		if *of == nil {
			*of = map[mesh.Name]T{}
		}
	}
	if has {
		(*of)[e.Ref.Name] = obj
	} else {
		delete(*of, e.Ref.Name)
	}
	d.next.changes.Kinds[e.Ref.Kind] = true
	return true
}

// putSlice keeps the index from Service to slices in step.
func (d *draft) putSlice(e Event) {
	n := d.next
	old, had := n.EndpointSlices[e.Ref.Name]
	if !put(d, &n.EndpointSlices, e, sameVersion) {
		return
	}
	if !d.ownedSlices {
		d.ownedSlices = true
		n.slices = maps.Clone(n.slices)
		if n.slices == nil {
			n.slices = map[mesh.Name][]*discoveryv1.EndpointSlice{}
		}
	}
	if had {
		service := ServiceOf(old)
		left := slices.DeleteFunc(slices.Clone(n.slices[service]), func(s *discoveryv1.EndpointSlice) bool {
			return s.Name == old.Name
		})
		if len(left) == 0 {
			delete(n.slices, service)
		} else {
			n.slices[service] = left
		}
		n.changes.Services[service] = true
	}
	if now, has := n.EndpointSlices[e.Ref.Name]; has {
		service := ServiceOf(now)
		more := append(slices.Clone(n.slices[service]), now)
		slices.SortFunc(more, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
		n.slices[service] = more
		n.changes.Services[service] = true
	}
}

// ServiceOf names the Service that a slice belongs to; its Name is empty for a slice without the label that says so.
func ServiceOf(slice *discoveryv1.EndpointSlice) mesh.Name {
	return mesh.Name{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
}

// sameVersion holds for an object that was told again.
func sameVersion(a, b metav1.Object) bool {
	return a.GetResourceVersion() != "" && a.GetResourceVersion() == b.GetResourceVersion() && a.GetUID() == b.GetUID()
}

// sameGeneration holds when only status or metadata changed, and nothing of that is read. It keeps the mesh's own writes
// to status from starting the next round of work.
func sameGeneration(a, b metav1.Object) bool {
	return a.GetGeneration() != 0 && a.GetGeneration() == b.GetGeneration() && a.GetUID() == b.GetUID()
}

// sameLabels holds when nothing changed but what nobody reads, like the heartbeats of nodes.
func sameLabels(a, b metav1.Object) bool {
	return a.GetUID() == b.GetUID() && maps.Equal(a.GetLabels(), b.GetLabels())
}
