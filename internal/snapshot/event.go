package snapshot

import (
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Kind is one of the kinds of object that a Snapshot holds.
type Kind string

// The kinds of a Snapshot.
const (
	KindService           Kind = "Service"
	KindEndpointSlice     Kind = "EndpointSlice"
	KindPod               Kind = "Pod"
	KindNamespace         Kind = "Namespace"
	KindServiceAccount    Kind = "ServiceAccount"
	KindNode              Kind = "Node"
	KindSecret            Kind = "Secret" // of type kubernetes.io/tls
	KindConfigMap         Kind = "ConfigMap"
	KindGatewayClass      Kind = "GatewayClass"
	KindGateway           Kind = "Gateway"
	KindListenerSet       Kind = "ListenerSet"
	KindHTTPRoute         Kind = "HTTPRoute"
	KindGRPCRoute         Kind = "GRPCRoute"
	KindTLSRoute          Kind = "TLSRoute"
	KindTCPRoute          Kind = "TCPRoute"
	KindUDPRoute          Kind = "UDPRoute"
	KindReferenceGrant    Kind = "ReferenceGrant"
	KindBackendTLS        Kind = "BackendTLSPolicy"
	KindBackendTraffic    Kind = "XBackendTrafficPolicy"
	KindXBackend          Kind = "XBackend"
	KindGatewayParameters Kind = "GatewayParameters"
	KindMesh              Kind = "Mesh"
	KindTrustBundle       Kind = "ClusterTrustBundle"
	// KindDefinition says what the cluster's API is: the CustomResourceDefinition of GatewayClasses, its metadata only, tells the version of
	// the Gateway API; one by the name of another kind that not every cluster serves tells that this one does.
	KindDefinition Kind = "CustomResourceDefinition"
)

// ClusterScoped tells kinds whose objects have no namespace.
func (k Kind) ClusterScoped() bool {
	switch k {
	case KindMesh, KindNamespace, KindNode, KindGatewayClass, KindTrustBundle, KindDefinition:
		return true
	default:
		return false
	}
}

// Kinds lists all kinds, in the order in which a person would create them.
func Kinds() []Kind {
	return []Kind{
		KindDefinition, KindMesh, KindNamespace, KindNode, KindServiceAccount, KindService, KindPod, KindEndpointSlice,
		KindSecret, KindConfigMap, KindTrustBundle, KindReferenceGrant, KindBackendTLS, KindBackendTraffic, KindXBackend, KindGatewayParameters,
		KindGatewayClass, KindGateway, KindListenerSet,
		KindHTTPRoute, KindGRPCRoute, KindTLSRoute, KindTCPRoute, KindUDPRoute,
	}
}

// The names of the definitions that a Snapshot may hold.
const (
	GatewayClassDefinition = "gatewayclasses.gateway.networking.k8s.io"
	TrustBundleDefinition  = "clustertrustbundles.certificates.k8s.io"
)

// Object is a typed Kubernetes API object. Once handed over in an Event it belongs to everybody: nobody changes it.
type Object interface {
	metav1.Object
	runtime.Object
}

// Ref names one object of a Snapshot. Cluster-scoped objects have no namespace.
type Ref struct {
	Kind Kind
	Name mesh.Name
}

// Event is news of one object: what it is now, or that it is gone.
type Event struct {
	Ref Ref
	// Object is nil when the object is gone.
	Object Object
	// Unknown names the fields that the object has in the cluster and lacks here.
	Unknown Unknown
}

// Upsert says what an object is now. It panics for a type that no Snapshot holds: ask KindOf first where the type is not
// known when the program is written.
func Upsert(obj Object) Event {
	kind, ok := KindOf(obj)
	if !ok {
		panic(fmt.Sprintf("snapshot: no Snapshot holds a %T", obj))
	}
	if grant, beta := obj.(*gatewayv1beta1.ReferenceGrant); beta {
		obj = (*gatewayv1.ReferenceGrant)(grant)
	}
	return Event{
		Ref:    Ref{Kind: kind, Name: mesh.Name{Namespace: obj.GetNamespace(), Name: obj.GetName()}},
		Object: obj,
	}
}

// Delete says that an object is gone.
func Delete(kind Kind, name mesh.Name) Event { return Event{Ref: Ref{Kind: kind, Name: name}} }

// AddToScheme makes the types of all kinds known to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, certificatesv1.AddToScheme, discoveryv1.AddToScheme, gatewayv1.Install, gatewayv1beta1.Install, xv1alpha1.Install, v1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return fmt.Errorf("snapshot: scheme: %w", err)
		}
	}
	return nil
}

// KindOf finds the kind of a typed object; false for types that no Snapshot holds.
func KindOf(obj runtime.Object) (Kind, bool) {
	switch obj.(type) {
	case *corev1.Service:
		return KindService, true
	case *discoveryv1.EndpointSlice:
		return KindEndpointSlice, true
	case *corev1.Pod:
		return KindPod, true
	case *corev1.Namespace:
		return KindNamespace, true
	case *corev1.ServiceAccount:
		return KindServiceAccount, true
	case *corev1.Node:
		return KindNode, true
	case *corev1.Secret:
		return KindSecret, true
	case *corev1.ConfigMap:
		return KindConfigMap, true
	case *certificatesv1.ClusterTrustBundle:
		return KindTrustBundle, true
	case *gatewayv1.GatewayClass:
		return KindGatewayClass, true
	case *gatewayv1.Gateway:
		return KindGateway, true
	case *gatewayv1.ListenerSet:
		return KindListenerSet, true
	case *gatewayv1.HTTPRoute:
		return KindHTTPRoute, true
	case *gatewayv1.GRPCRoute:
		return KindGRPCRoute, true
	case *gatewayv1.TLSRoute:
		return KindTLSRoute, true
	case *gatewayv1.TCPRoute:
		return KindTCPRoute, true
	case *gatewayv1.UDPRoute:
		return KindUDPRoute, true
	case *gatewayv1.BackendTLSPolicy:
		return KindBackendTLS, true
	case *xv1alpha1.XBackendTrafficPolicy:
		return KindBackendTraffic, true
	case *xv1alpha1.XBackend:
		return KindXBackend, true
	case *gatewayv1.ReferenceGrant, *gatewayv1beta1.ReferenceGrant:
		return KindReferenceGrant, true
	case *v1alpha1.GatewayParameters:
		return KindGatewayParameters, true
	case *v1alpha1.Mesh:
		return KindMesh, true
	case *metav1.PartialObjectMetadata:
		return KindDefinition, true
	}
	return "", false
}
