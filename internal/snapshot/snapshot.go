// Package snapshot holds the state of a cluster as plain data: what the mesh reads of it, and nothing else.
package snapshot

import (
	"maps"
	"reflect"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Snapshot is one immutable picture of the cluster: neither its maps nor the objects in them may be changed. The zero
// value is an empty cluster.
type Snapshot struct {
	Services          map[mesh.Name]*corev1.Service
	EndpointSlices    map[mesh.Name]*discoveryv1.EndpointSlice
	Pods              map[mesh.Name]*corev1.Pod
	Namespaces        map[mesh.Name]*corev1.Namespace
	ServiceAccounts   map[mesh.Name]*corev1.ServiceAccount
	Nodes             map[mesh.Name]*corev1.Node
	Secrets           map[mesh.Name]*corev1.Secret
	ConfigMaps        map[mesh.Name]*corev1.ConfigMap
	TrustBundles      map[mesh.Name]*certificatesv1.ClusterTrustBundle
	GatewayClasses    map[mesh.Name]*gatewayv1.GatewayClass
	Gateways          map[mesh.Name]*gatewayv1.Gateway
	ListenerSets      map[mesh.Name]*gatewayv1.ListenerSet
	HTTPRoutes        map[mesh.Name]*gatewayv1.HTTPRoute
	GRPCRoutes        map[mesh.Name]*gatewayv1.GRPCRoute
	TLSRoutes         map[mesh.Name]*gatewayv1.TLSRoute
	TCPRoutes         map[mesh.Name]*gatewayv1.TCPRoute
	UDPRoutes         map[mesh.Name]*gatewayv1.UDPRoute
	ReferenceGrants   map[mesh.Name]*gatewayv1.ReferenceGrant
	BackendTLS        map[mesh.Name]*gatewayv1.BackendTLSPolicy
	BackendTraffic    map[mesh.Name]*xv1alpha1.XBackendTrafficPolicy
	XBackends         map[mesh.Name]*xv1alpha1.XBackend
	GatewayParameters map[mesh.Name]*v1alpha1.GatewayParameters
	Meshes            map[mesh.Name]*v1alpha1.Mesh
	Definitions       map[mesh.Name]*metav1.PartialObjectMetadata
	// Unknown is what those objects have that their types lack.
	Unknown map[Ref]Unknown

	// slices lists the EndpointSlices of each Service by name of slice.
	slices  map[mesh.Name][]*discoveryv1.EndpointSlice
	changes Changes
}

// Changes is what With changed.
type Changes struct {
	// Kinds that have objects which came, went or changed.
	Kinds map[Kind]bool
	// Pods that came, went or changed.
	Pods map[mesh.Name]bool
	// Services whose EndpointSlices came, went or changed.
	Services map[mesh.Name]bool
}

// Changes tells how s differs from the Snapshot it was made from by With.
func (s *Snapshot) Changes() Changes { return s.changes }

// SlicesOf lists the EndpointSlices of a Service in the order of their names, also when there is no such Service.
func (s *Snapshot) SlicesOf(service mesh.Name) []*discoveryv1.EndpointSlice { return s.slices[service] }

// Mesh is the mesh's settings object, nil if the cluster has none.
func (s *Snapshot) Mesh() *v1alpha1.Mesh { return s.Meshes[mesh.Name{Name: v1alpha1.MeshName}] }

// Serves tells whether the cluster has a kind that not every cluster has, by the name of its definition. Without any definition the
// objects come from files, where nothing is amiss.
func (s *Snapshot) Serves(definition string) bool {
	return len(s.Definitions) == 0 || s.Definitions[mesh.Name{Name: definition}] != nil
}

// Equal tells whether both hold the same objects.
func (s *Snapshot) Equal(o *Snapshot) bool {
	return reflect.DeepEqual(s.contents(), o.contents()) && maps.EqualFunc(s.Unknown, o.Unknown, func(a, b Unknown) bool { return reflect.DeepEqual(a, b) })
}

// contents is s without its history, and without the difference between an empty and an absent map.
func (s *Snapshot) contents() map[Ref]Object {
	all := map[Ref]Object{}
	collect(all, KindService, s.Services)
	collect(all, KindEndpointSlice, s.EndpointSlices)
	collect(all, KindPod, s.Pods)
	collect(all, KindNamespace, s.Namespaces)
	collect(all, KindServiceAccount, s.ServiceAccounts)
	collect(all, KindNode, s.Nodes)
	collect(all, KindSecret, s.Secrets)
	collect(all, KindConfigMap, s.ConfigMaps)
	collect(all, KindTrustBundle, s.TrustBundles)
	collect(all, KindGatewayClass, s.GatewayClasses)
	collect(all, KindGateway, s.Gateways)
	collect(all, KindListenerSet, s.ListenerSets)
	collect(all, KindHTTPRoute, s.HTTPRoutes)
	collect(all, KindGRPCRoute, s.GRPCRoutes)
	collect(all, KindTLSRoute, s.TLSRoutes)
	collect(all, KindTCPRoute, s.TCPRoutes)
	collect(all, KindUDPRoute, s.UDPRoutes)
	collect(all, KindReferenceGrant, s.ReferenceGrants)
	collect(all, KindBackendTLS, s.BackendTLS)
	collect(all, KindBackendTraffic, s.BackendTraffic)
	collect(all, KindXBackend, s.XBackends)
	collect(all, KindGatewayParameters, s.GatewayParameters)
	collect(all, KindMesh, s.Meshes)
	collect(all, KindDefinition, s.Definitions)
	return all
}

func collect[T Object](all map[Ref]Object, kind Kind, of map[mesh.Name]T) {
	for name, obj := range of {
		all[Ref{Kind: kind, Name: name}] = obj
	}
}
