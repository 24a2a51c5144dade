package mesh

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers/served"
)

// Setup adds the reconcilers to the manager. Those of kinds that the cluster does not serve yet start when it does.
func Setup(mgr manager.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("mesh").
		For(&v1alpha1.Mesh{}).
		Complete(&meshReconciler{client: mgr.GetClient(), live: mgr.GetAPIReader(), mapper: mgr.GetRESTMapper()})
	if err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{
		func(ctx context.Context) error { return ensureMesh(ctx, mgr.GetClient()) },
		func(ctx context.Context) error { return startXMesh(ctx, mgr) },
	} {
		// A plain function runs on the leader only.
		if err := mgr.Add(manager.RunnableFunc(start)); err != nil {
			return err
		}
	}
	return nil
}

func startXMesh(ctx context.Context, mgr manager.Manager) error {
	if !served.Wait(ctx, mgr.GetRESTMapper(), served.XMesh) {
		return nil // shutting down
	}
	if err := ensureXMesh(ctx, mgr.GetClient()); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("xmesh").
		For(&xv1alpha1.XMesh{}).
		Complete(&xmeshReconciler{client: mgr.GetClient()})
}
