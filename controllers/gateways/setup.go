package gateways

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// ByObject keeps the manager's cache to what was made for Gateways.
func ByObject() map[client.Object]cache.ByObject {
	made, err := labels.NewRequirement(mesh.LabelGatewayName, selection.Exists, nil)
	if err != nil {
		panic("a label that must exist is a valid requirement: " + err.Error())
	}
	only := cache.ByObject{Label: labels.NewSelector().Add(*made)}
	return map[client.Object]cache.ByObject{&appsv1.Deployment{}: only, &policyv1.PodDisruptionBudget{}: only}
}

// Setup adds a Keeper to the manager, which looks at a Gateway again whenever somebody changes or deletes what was made for it.
func Setup(mgr manager.Manager) (*Keeper, error) {
	k := New(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("leno-gateways"))
	if err := mgr.Add(k); err != nil {
		return nil, err
	}
	for _, run := range []func(context.Context) error{
		func(ctx context.Context) error { return k.follow(ctx, mgr.GetCache()) },
		func(ctx context.Context) error { return ensureClass(ctx, mgr) },
	} {
		// A plain function runs on the leader only.
		if err := mgr.Add(manager.RunnableFunc(run)); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// ensureClass creates the GatewayClass once the cluster has the kind. One that is there stays as it is.
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

// follow watches what was made, and the settings.
func (k *Keeper) follow(ctx context.Context, from cache.Cache) error {
	for _, object := range []client.Object{&appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &corev1.Service{}, &corev1.ServiceAccount{}} {
		informer, err := from.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			UpdateFunc: func(was, now any) {
				if changed(was, now) {
					k.touchOwner(now)
				}
			},
			DeleteFunc: func(gone any) {
				if unknown, ok := gone.(toolscache.DeletedFinalStateUnknown); ok {
					gone = unknown.Obj
				}
				k.touchOwner(gone)
			},
		}); err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
	}
	settings, err := from.GetInformer(ctx, &v1alpha1.Mesh{})
	if err != nil {
		return fmt.Errorf("watch the Mesh: %w", err)
	}
	_, err = settings.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(was, now any) {
			if before, ok := was.(*v1alpha1.Mesh); !ok || before.Generation != now.(*v1alpha1.Mesh).Generation {
				k.TouchAll()
			}
		},
	})
	return err
}

// changed leaves out news that say nothing of what was applied, like those of status.
func changed(was, now any) bool {
	a, okA := was.(client.Object)
	b, okB := now.(client.Object)
	if !okA || !okB {
		return true
	}
	spec := func(o client.Object) any {
		switch o := o.(type) {
		case *corev1.Service:
			return o.Spec
		case *corev1.ServiceAccount:
			return o.AutomountServiceAccountToken
		}
		return o.GetGeneration()
	}
	return !reflect.DeepEqual(a.GetLabels(), b.GetLabels()) || !reflect.DeepEqual(a.GetAnnotations(), b.GetAnnotations()) ||
		!reflect.DeepEqual(a.GetOwnerReferences(), b.GetOwnerReferences()) || !reflect.DeepEqual(spec(a), spec(b))
}

func (k *Keeper) touchOwner(of any) {
	o, ok := of.(client.Object)
	if !ok {
		return
	}
	if owner := metav1.GetControllerOfNoCopy(o); owner != nil && owner.Kind == "Gateway" {
		k.Touch(mesh.Name{Namespace: o.GetNamespace(), Name: owner.Name})
	}
}
