package gateways

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

//+kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
//+kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
//+kubebuilder:rbac:groups="",resources=services;serviceaccounts,verbs=create;patch;delete
//+kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=list;watch

// ByObject is how the manager's cache holds what this package alone reads: of what Leno itself made the metadata, and of autoscalers what
// they scale.
func ByObject() map[client.Object]cache.ByObject {
	own := labels.SelectorFromSet(labels.Set{mesh.LabelApp: mesh.GatewayApp, mesh.LabelManagedBy: mesh.ManagedBy})
	return map[client.Object]cache.ByObject{
		&appsv1.Deployment{}:                     {Label: own},
		&policyv1.PodDisruptionBudget{}:          {Label: own},
		&autoscalingv2.HorizontalPodAutoscaler{}: {Transform: targetOnly},
	}
}

// targetOnly strips an autoscaler, whose status changes all the time.
func targetOnly(obj any) (any, error) {
	if h, ok := obj.(*autoscalingv2.HorizontalPodAutoscaler); ok {
		h.ManagedFields, h.Annotations, h.Status = nil, nil, autoscalingv2.HorizontalPodAutoscalerStatus{}
		h.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: h.Spec.ScaleTargetRef}
	}
	return obj, nil
}

// Setup adds a Keeper to the manager.
func Setup(mgr manager.Manager) (*Keeper, error) {
	k := New(Config{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Cache: mgr.GetCache(), Events: mgr.GetEventRecorder("leno-gateways")})
	// A plain function runs on the leader only.
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return ensureClass(ctx, mgr) })); err != nil {
		return nil, err
	}
	return k, mgr.Add(k)
}

// watch looks at a Gateway again when something changed that it depends on, or that was made for it. Each handler is called for all
// that is there, too: a new leader looks at everything once.
func (k *Keeper) watch(ctx context.Context) error {
	for _, w := range []struct {
		kind    client.Object
		changed func(before, now client.Object)
	}{
		{metadata(appsv1.SchemeGroupVersion.WithKind("Deployment")), k.drift},
		{metadata(policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")), k.drift},
		{&corev1.Service{}, k.drift},
		{&corev1.ServiceAccount{}, k.drift},
		{&v1alpha1.Mesh{}, k.settings},
		{&autoscalingv2.HorizontalPodAutoscaler{}, k.autoscaler},
	} {
		informer, err := k.Cache.GetInformer(ctx, w.kind)
		if err == nil {
			_, err = informer.AddEventHandler(handler(w.changed))
		}
		if err != nil {
			return fmt.Errorf("watch what Gateways run on (%T): %w", w.kind, err)
		}
	}
	return nil
}

func metadata(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(kind)
	return m
}

// handler calls changed with what was before and what is now; for new and for deleted objects these are the same.
func handler(changed func(before, now client.Object)) toolscache.ResourceEventHandlerFuncs {
	one := func(obj any) {
		if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(client.Object); ok {
			changed(o, o)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{AddFunc: one, DeleteFunc: one, UpdateFunc: func(before, now any) {
		b, ok := before.(client.Object)
		n, ok2 := now.(client.Object)
		if ok && ok2 && b.GetResourceVersion() != n.GetResourceVersion() {
			changed(b, n)
		}
	}}
}

// drift looks at the Gateway that an object was made for, by what the object says now and by what it said before. News about nothing
// but its status are none. Kinds that count no generations, as Services do not, are looked at whatever the news are.
func (k *Keeper) drift(before, now client.Object) {
	if before != now && now.GetGeneration() != 0 && before.GetGeneration() == now.GetGeneration() &&
		maps.Equal(before.GetLabels(), now.GetLabels()) && maps.Equal(before.GetAnnotations(), now.GetAnnotations()) &&
		slices.EqualFunc(before.GetOwnerReferences(), now.GetOwnerReferences(), sameOwner) && now.GetDeletionTimestamp() == nil {
		return
	}
	for _, o := range []client.Object{before, now} {
		owner := metav1.GetControllerOfNoCopy(o)
		if made(o) && owner != nil && owner.Kind == "Gateway" && owner.APIVersion == gatewayv1.GroupVersion.String() {
			k.queue.Add(mesh.Name{Namespace: o.GetNamespace(), Name: owner.Name})
		}
	}
}

func sameOwner(a, b metav1.OwnerReference) bool {
	return a.UID == b.UID && a.Controller != nil == (b.Controller != nil) && (a.Controller == nil || *a.Controller == *b.Controller)
}

// settings: all proxies are made by the Mesh.
func (k *Keeper) settings(before, now client.Object) {
	if before == now || before.GetGeneration() != now.GetGeneration() {
		k.touch(func(*mesh.Gateway) bool { return true })
	}
}

func (k *Keeper) autoscaler(before, now client.Object) {
	b, ok := before.(*autoscalingv2.HorizontalPodAutoscaler)
	n, ok2 := now.(*autoscalingv2.HorizontalPodAutoscaler)
	if !ok || !ok2 || before != now && b.Spec.ScaleTargetRef == n.Spec.ScaleTargetRef {
		return
	}
	k.touch(func(g *mesh.Gateway) bool { return scales(b, g) || scales(n, g) })
}
