package status

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/leno-mesh/leno/controllers/gatewayapi"
	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Setup adds a Writer to the manager, which looks at an object again whenever the object changes: somebody may have overwritten its
// status.
func Setup(mgr manager.Manager) (*Writer, error) {
	w := New(mgr.GetClient(), func(ctx context.Context, kind schema.GroupVersionKind, name mesh.Name) (*gatewayapi.Object, error) {
		return gatewayapi.Get(ctx, mgr.GetCache(), kind, name)
	})
	if err := mgr.Add(w); err != nil {
		return nil, err
	}
	for name, k := range kinds {
		if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return w.follow(ctx, mgr, name, k) })); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// follow touches the objects of a kind as they appear and change, once the cluster serves it.
func (w *Writer) follow(ctx context.Context, mgr manager.Manager, name string, k kind) error {
	if !served.Wait(ctx, mgr.GetRESTMapper(), k.served) {
		return nil // shutting down
	}
	informer, err := mgr.GetCache().GetInformer(ctx, gatewayapi.As(k.served))
	if err != nil {
		return fmt.Errorf("watch %ss: %w", name, err)
	}
	_, err = informer.AddEventHandler(w.touching(name))
	return err
}

// touching touches what appears, too: an object that is deleted and made again at once is another one with the wish of the first, so that
// Set has no reason to look at it.
func (w *Writer) touching(kind string) toolscache.ResourceEventHandler {
	touch := func(obj any) {
		if o, ok := obj.(client.Object); ok {
			w.Touch(kind, mesh.Name{Namespace: o.GetNamespace(), Name: o.GetName()})
		}
	}
	return toolscache.ResourceEventHandlerFuncs{AddFunc: touch, UpdateFunc: func(_, now any) { touch(now) }}
}
