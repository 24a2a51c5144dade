package status

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Setup adds a Writer to the manager, which looks at a route again whenever the route changes: somebody may have
// overwritten its status.
func Setup(mgr manager.Manager) (*Writer, error) {
	w := New(mgr.GetClient())
	if err := mgr.Add(w); err != nil {
		return nil, err
	}
	return w, mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		if !served.Wait(ctx, mgr.GetRESTMapper(), served.HTTPRoute) {
			return nil // shutting down
		}
		informer, err := mgr.GetCache().GetInformer(ctx, &gatewayv1.HTTPRoute{})
		if err != nil {
			return fmt.Errorf("watch HTTPRoutes: %w", err)
		}
		touch := func(obj any) {
			if o, ok := obj.(client.Object); ok {
				w.Touch(mesh.Name{Namespace: o.GetNamespace(), Name: o.GetName()})
			}
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(_, now any) { touch(now) }})
		return err
	}))
}
