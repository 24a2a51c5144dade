package status

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/internal/status/merge"
)

//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses/status;gateways/status;listenersets/status;backendtlspolicies/status,verbs=update;patch
//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes/status;grpcroutes/status;tlsroutes/status;tcproutes/status;udproutes/status,verbs=update;patch
//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xbackendtrafficpolicies/status;xbackends/status,verbs=update;patch

// kind is one kind of object whose status Leno writes.
type kind struct {
	served schema.GroupVersionKind
	// merge puts the wish into an object, and tells whether that changed anything.
	merge func(obj client.Object, want status.Want, now metav1.Time) bool
}

// kinds is the table.
var kinds = map[string]kind{
	"BackendTLSPolicy": {served.BackendTLSPolicy, into(func(o *gatewayv1.BackendTLSPolicy, want status.Want, now metav1.Time) bool {
		return merge.Policy(&o.Status, want, now)
	})},
	"XBackendTrafficPolicy": {served.XBackendTrafficPolicy, into(func(o *xv1alpha1.XBackendTrafficPolicy, want status.Want, now metav1.Time) bool {
		return merge.Policy(&o.Status, want, now)
	})},
	"XBackend":     {served.XBackend, into(merge.XBackend)},
	"GatewayClass": {served.GatewayClass, into(merge.Class)},
	"Gateway":      {served.Gateway, into(merge.Gateway)},
	"ListenerSet":  {served.ListenerSet, into(merge.ListenerSet)},
	"HTTPRoute":    {served.HTTPRoute, route(func(r *gatewayv1.HTTPRoute) *gatewayv1.RouteStatus { return &r.Status.RouteStatus })},
	"GRPCRoute":    {served.GRPCRoute, route(func(r *gatewayv1.GRPCRoute) *gatewayv1.RouteStatus { return &r.Status.RouteStatus })},
	"TLSRoute":     {served.TLSRoute, route(func(r *gatewayv1.TLSRoute) *gatewayv1.RouteStatus { return &r.Status.RouteStatus })},
	"TCPRoute":     {served.TCPRoute, route(func(r *gatewayv1.TCPRoute) *gatewayv1.RouteStatus { return &r.Status.RouteStatus })},
	"UDPRoute":     {served.UDPRoute, route(func(r *gatewayv1.UDPRoute) *gatewayv1.RouteStatus { return &r.Status.RouteStatus })},
}

// into is a merge of one type as one of any; the table keeps them together.
func into[T client.Object](f func(T, status.Want, metav1.Time) bool) func(client.Object, status.Want, metav1.Time) bool {
	return func(obj client.Object, want status.Want, now metav1.Time) bool {
		o, ok := obj.(T)
		return ok && f(o, want, now)
	}
}

// route is the merge of a kind of route.
func route[T client.Object](of func(T) *gatewayv1.RouteStatus) func(client.Object, status.Want, metav1.Time) bool {
	return into(func(o T, want status.Want, now metav1.Time) bool {
		s := of(o)
		parents, changed := merge.Parents(s.Parents, want, now)
		if parents == nil {
			parents = []gatewayv1.RouteParentStatus{} // the API wants a list
		}
		s.Parents = parents
		return changed
	})
}
