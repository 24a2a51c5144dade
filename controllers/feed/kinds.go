package feed

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers/gatewayapi"
	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/snapshot"
)

//+kubebuilder:rbac:groups="",resources=services;pods;namespaces;serviceaccounts;nodes,verbs=get;list;watch
//+kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch
//+kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=list;watch
//+kubebuilder:rbac:groups=certificates.k8s.io,resources=clustertrustbundles,verbs=list;watch
//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses;gateways;listenersets;backendtlspolicies;referencegrants,verbs=get;list;watch
//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes;grpcroutes;tlsroutes;tcproutes;udproutes,verbs=get;list;watch
//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xbackendtrafficpolicies;xbackends,verbs=get;list;watch
//+kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=gatewayclasses.gateway.networking.k8s.io,verbs=get;list;watch
//+kubebuilder:rbac:groups=mesh.leno.dev,resources=meshes;gatewayparameters,verbs=get;list;watch

// row is one kind that the mesh reads.
type row struct {
	kind snapshot.Kind
	new  func() client.Object
	// crd is what the cluster must serve, most often because somebody installed it, before the kind can be watched; nil for kinds that are
	// always there.
	crd *schema.GroupVersionKind
	// newer is a later version of the same kind: where it is served, its row does the work.
	newer *schema.GroupVersionKind
	// material is read through the cache for certificates.
	material bool
	// definition names what tells the sink that the cluster serves the kind; "" where nobody asks.
	definition string
}

// asked is what to ask a cache for.
func (r row) asked() client.Object {
	if r.crd != nil && gatewayapi.Has(*r.crd) {
		return gatewayapi.As(*r.crd)
	}
	return r.new()
}

// told is the news that a kind is served.
func (r row) told() []snapshot.Event {
	if r.definition == "" {
		return nil
	}
	return []snapshot.Event{snapshot.Upsert(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: r.definition}})}
}

// state tells whether a row can be watched now, or ever.
func (r row) state(mapper meta.RESTMapper) (state, error) {
	if r.crd == nil {
		return watchable, nil
	}
	if r.newer != nil {
		if ok, err := served.Is(mapper, *r.newer); ok || err != nil {
			return needless, err
		}
	}
	ok, err := served.Is(mapper, *r.crd)
	if ok {
		return watchable, err
	}
	return absent, err
}

type state int

const (
	watchable state = iota
	absent          // its definition is not installed yet
	needless        // a newer version is served
)

// kinds is the table. A new kind is a row here and a map in the snapshot.
var kinds = []row{
	{kind: snapshot.KindDefinition, new: definition},
	{kind: snapshot.KindMesh, new: object[v1alpha1.Mesh]},
	{kind: snapshot.KindNamespace, new: object[corev1.Namespace]},
	{kind: snapshot.KindNode, new: object[corev1.Node]},
	{kind: snapshot.KindServiceAccount, new: object[corev1.ServiceAccount]},
	{kind: snapshot.KindService, new: object[corev1.Service]},
	{kind: snapshot.KindPod, new: object[corev1.Pod]},
	{kind: snapshot.KindEndpointSlice, new: object[discoveryv1.EndpointSlice]},
	{kind: snapshot.KindReferenceGrant, new: object[gatewayv1.ReferenceGrant],
		crd: &served.ReferenceGrant},
	// Before Gateway API v1.5 the kind had no v1.
	{kind: snapshot.KindReferenceGrant, new: object[gatewayv1beta1.ReferenceGrant],
		crd: &served.ReferenceGrantV1Beta1, newer: &served.ReferenceGrant},
	{kind: snapshot.KindSecret, new: object[corev1.Secret], material: true},
	{kind: snapshot.KindConfigMap, new: object[corev1.ConfigMap], material: true},
	// Clusters have it since Kubernetes 1.37.
	{kind: snapshot.KindTrustBundle, new: object[certificatesv1.ClusterTrustBundle],
		crd: &served.ClusterTrustBundle, material: true, definition: snapshot.TrustBundleDefinition},
	{kind: snapshot.KindBackendTLS, new: object[gatewayv1.BackendTLSPolicy],
		crd: &served.BackendTLSPolicy},
	{kind: snapshot.KindBackendTraffic, new: object[xv1alpha1.XBackendTrafficPolicy],
		crd: &served.XBackendTrafficPolicy},
	{kind: snapshot.KindXBackend, new: object[xv1alpha1.XBackend], crd: &served.XBackend},
	{kind: snapshot.KindGatewayParameters, new: object[v1alpha1.GatewayParameters],
		crd: &served.GatewayParameters},
	{kind: snapshot.KindGatewayClass, new: object[gatewayv1.GatewayClass],
		crd: &served.GatewayClass},
	{kind: snapshot.KindGateway, new: object[gatewayv1.Gateway], crd: &served.Gateway},
	{kind: snapshot.KindListenerSet, new: object[gatewayv1.ListenerSet], crd: &served.ListenerSet},
	{kind: snapshot.KindHTTPRoute, new: object[gatewayv1.HTTPRoute], crd: &served.HTTPRoute},
	{kind: snapshot.KindGRPCRoute, new: object[gatewayv1.GRPCRoute], crd: &served.GRPCRoute},
	{kind: snapshot.KindTLSRoute, new: object[gatewayv1.TLSRoute], crd: &served.TLSRoute},
	{kind: snapshot.KindTCPRoute, new: object[gatewayv1.TCPRoute], crd: &served.TCPRoute},
	{kind: snapshot.KindUDPRoute, new: object[gatewayv1.UDPRoute], crd: &served.UDPRoute},
}

func object[T any, P interface {
	*T
	client.Object
}]() client.Object {
	return P(new(T))
}

// definitionKind is read as metadata.
var definitionKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

func definition() client.Object {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(definitionKind)
	return o
}
