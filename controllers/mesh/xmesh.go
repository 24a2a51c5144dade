package mesh

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/internal/status"
)

//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xmeshes,verbs=get;list;watch;create
//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xmeshes/status,verbs=update;patch

// XMeshName is the name of the XMesh that the operator creates (GEP-3949).
const XMeshName = "leno"

// SupportedFeatures are the mesh features of the Gateway API that hold, by the names of its conformance suite, sorted.
// (Features of gateways do not belong into an XMesh: the suite drops them.)
var SupportedFeatures = []string{
	"GRPCRoute",
	"HTTPRoute",
	"Mesh",
	"MeshClusterIPMatching",
	"MeshConsumerRoute",
	"MeshHTTPRouteBackendRequestHeaderModification",
	"MeshHTTPRouteNamedRouteRule",
	"MeshHTTPRouteQueryParamMatching",
	"MeshHTTPRouteRedirectPath",
	"MeshHTTPRouteRedirectPort",
	"MeshHTTPRouteRewritePath",
	"MeshHTTPRouteSchemeRedirect",
}

// xmeshReconciler keeps the status of the XMeshes that name Leno as their controller. Their spec is never changed. It
// runs on the leader.
type xmeshReconciler struct {
	client client.Client
}

// Reconcile looks at one XMesh, and makes Leno's own when it is gone.
func (r *xmeshReconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	var x xv1alpha1.XMesh
	if err := r.client.Get(ctx, req.NamespacedName, &x); err != nil {
		if apierrors.IsNotFound(err) && req.Name == XMeshName {
			return ctrl.Result{}, ensureXMesh(ctx, r.client)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if x.Spec.ControllerName != status.ControllerName {
		return ctrl.Result{}, nil
	}
	before := x.Status.DeepCopy()
	meta.SetStatusCondition(&x.Status.Conditions, xmeshCondition(&x))
	x.Status.SupportedFeatures = features()
	if equality.Semantic.DeepEqual(*before, x.Status) {
		return ctrl.Result{}, nil
	}
	if err := r.client.Status().Update(ctx, &x); err != nil {
		return ctrl.Result{}, fmt.Errorf("status of XMesh %s: %w", x.Name, err)
	}
	return ctrl.Result{}, nil
}

func xmeshCondition(x *xv1alpha1.XMesh) metav1.Condition {
	c := metav1.Condition{
		Type: string(xv1alpha1.MeshConditionAccepted), Status: metav1.ConditionTrue, ObservedGeneration: x.Generation,
		Reason: string(xv1alpha1.MeshReasonAccepted), Message: "Leno serves this mesh",
	}
	if ref := x.Spec.ParametersRef; ref != nil && (ref.Group != "mesh.leno.dev" || ref.Kind != "Mesh" || ref.Name != "default") {
		c.Status, c.Reason = metav1.ConditionFalse, string(xv1alpha1.MeshReasonInvalidParameters)
		c.Message = fmt.Sprintf("parametersRef %s %q is not understood: leave it out, or refer to Mesh.mesh.leno.dev \"default\"", ref.Kind, ref.Name)
	}
	return c
}

func features() []gatewayv1.SupportedFeature {
	out := make([]gatewayv1.SupportedFeature, 0, len(SupportedFeatures))
	for _, f := range SupportedFeatures {
		out = append(out, gatewayv1.SupportedFeature{Name: gatewayv1.FeatureName(f)})
	}
	return out
}

func ensureXMesh(ctx context.Context, c client.Client) error {
	x := &xv1alpha1.XMesh{ObjectMeta: metav1.ObjectMeta{Name: XMeshName}, Spec: xv1alpha1.MeshSpec{ControllerName: status.ControllerName}}
	if err := c.Create(ctx, x); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create XMesh %s: %w", XMeshName, err)
	}
	return nil
}
