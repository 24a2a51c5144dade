package gateways

import (
	"context"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses,verbs=create

// ensureClass creates the GatewayClass once the cluster has the kind. One that is there stays as it is: it may have parameters of the
// administrator's. It is not among the manifests of config/, because those must apply where the Gateway API is not installed yet, and
// bundles do not carry the kind.
func ensureClass(ctx context.Context, mgr manager.Manager) error {
	if !served.Wait(ctx, mgr.GetRESTMapper(), served.GatewayClass) {
		return nil // shutting down
	}
	class := &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: mesh.GatewayClass},
		Spec: gatewayv1.GatewayClassSpec{
			ControllerName: status.ControllerName, Description: new("Each Gateway is a Deployment of Leno's proxies and a Service"),
		},
	}
	if err := mgr.GetClient().Create(ctx, class); err != nil && !apierrors.IsAlreadyExists(err) {
		// No reason to end everything else: whoever wants Gateways can create it.
		slog.ErrorContext(ctx, "GatewayClass not created: create it, with the controller name "+status.ControllerName, "name", mesh.GatewayClass, "error", err)
	}
	return nil
}
