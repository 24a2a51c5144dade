// Package gateways makes what Gateways run on, and keeps it as it should be: see package provision. It works beside the path of
// events, like the writer of status.
package gateways

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/provision"
)

//+kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
//+kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
//+kubebuilder:rbac:groups="",resources=services;serviceaccounts,verbs=create;patch;delete

//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses,verbs=create

// fieldManager owns the fields that are applied.
const fieldManager = "leno-gateways"

// workers is how many Gateways are worked on at the same time.
const workers = 4

// Backoff of a Gateway for which something cannot be made.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Minute
)

// Keeper makes and keeps the objects of Gateways while it leads. Every replica calls Set, so that a new leader knows at once what is
// wanted.
type Keeper struct {
	client client.Client
	live   client.Reader // not a cache: whose an object is must be known for sure
	events events.EventRecorder
	queue  workqueue.TypedRateLimitingInterface[mesh.Name]

	mu    sync.Mutex // guards wants
	wants map[mesh.Name]*mesh.Gateway
}

// New makes a Keeper.
func New(c client.Client, live client.Reader, recorder events.EventRecorder) *Keeper {
	return &Keeper{client: c, live: live, events: recorder, wants: map[mesh.Name]*mesh.Gateway{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[mesh.Name](retryFirst, retryMost))}
}

// Set replaces all wishes. It does not block. A Gateway that is not wanted any more loses what was made for it.
func (k *Keeper) Set(wants map[mesh.Name]*mesh.Gateway) {
	k.mu.Lock()
	before := k.wants
	k.wants = wants
	k.mu.Unlock()
	for name, want := range wants {
		if old := before[name]; old == nil || !sameNeeds(old, want) {
			k.queue.Add(name)
		}
	}
	for name := range before {
		if wants[name] == nil {
			k.queue.Add(name)
		}
	}
}

// sameNeeds tells whether two versions of a Gateway run on the same objects: routes make no difference.
func sameNeeds(a, b *mesh.Gateway) bool {
	ports := func(g *mesh.Gateway) []mesh.GatewayPort {
		out := make([]mesh.GatewayPort, len(g.Ports))
		for i, p := range g.Ports {
			out[i] = mesh.GatewayPort{Number: p.Number, UDP: p.UDP}
		}
		return out
	}
	return a.ServiceAccount == b.ServiceAccount && reflect.DeepEqual(a.Infrastructure, b.Infrastructure) && reflect.DeepEqual(ports(a), ports(b))
}

// Touch looks at a Gateway again, because somebody changed what belongs to it.
func (k *Keeper) Touch(name mesh.Name) { k.queue.Add(name) }

// TouchAll looks at all Gateways again, because the settings of the mesh changed.
func (k *Keeper) TouchAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.wants {
		k.queue.Add(name)
	}
}

// NeedLeaderElection is true: only one replica writes.
func (k *Keeper) NeedLeaderElection() bool { return true }

// Start works until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	go func() { <-ctx.Done(); k.queue.ShutDown() }()
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for k.next(ctx) {
			}
		})
	}
	done.Wait()
	return nil
}

func (k *Keeper) next(ctx context.Context) bool {
	name, down := k.queue.Get()
	if down {
		return false
	}
	defer k.queue.Done(name)
	if err := k.bring(ctx, name); err != nil && ctx.Err() == nil {
		slog.InfoContext(ctx, "gateway not made as it should be, trying again", "gateway", name.String(), "error", err)
		k.queue.AddRateLimited(name)
		return true
	}
	k.queue.Forget(name)
	return true
}

// bring makes everything of one Gateway as it should be.
func (k *Keeper) bring(ctx context.Context, name mesh.Name) error {
	k.mu.Lock()
	want := k.wants[name]
	k.mu.Unlock()
	if want == nil {
		return k.remove(ctx, name)
	}
	var m v1alpha1.Mesh
	if err := k.client.Get(ctx, client.ObjectKey{Name: v1alpha1.MeshName}, &m); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read Mesh %s: %w", v1alpha1.MeshName, err)
	}
	var errs []error
	for _, object := range provision.Objects(want, inject.FromMesh(&m)) {
		if err := k.apply(ctx, want, object); err != nil {
			errs = append(errs, err)
			k.tell(want, object, err)
		}
	}
	return errors.Join(errs...)
}

// errForeign says that somebody else made an object of the name that is needed.
var errForeign = errors.New("an object of that name exists and does not belong to the Gateway: delete or rename it")

func (k *Keeper) apply(ctx context.Context, g *mesh.Gateway, object provision.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("write %T: %w", object, err)
	}
	delete(content, "status")
	u := &unstructured.Unstructured{Object: content}
	kind := u.GetKind()
	there := &metav1.PartialObjectMetadata{}
	there.SetGroupVersionKind(u.GroupVersionKind())
	switch err := k.live.Get(ctx, client.ObjectKeyFromObject(u), there); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("read %s %s: %w", kind, u.GetName(), err)
	case !belongs(there, g.Name):
		return fmt.Errorf("%s %s: %w", kind, u.GetName(), errForeign)
	}
	if err := k.put(ctx, u); err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, u.GetName(), err)
	}
	return nil
}

// belongs tells whether an object was made for a Gateway.
func belongs(o metav1.Object, gateway mesh.Name) bool {
	owner := metav1.GetControllerOfNoCopy(o)
	return owner != nil && owner.Kind == "Gateway" && owner.Name == gateway.Name && o.GetLabels()[mesh.LabelGatewayName] == mesh.GatewayLabel(gateway.Name)
}

// remove takes away what was made for a Gateway that is not ours any more. If it is gone itself, Kubernetes does the same.
func (k *Keeper) remove(ctx context.Context, name mesh.Name) error {
	for _, object := range provision.Kinds() {
		there := &metav1.PartialObjectMetadata{}
		there.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
		key := client.ObjectKey{Namespace: name.Namespace, Name: mesh.GatewayResource(name.Name)}
		if err := k.live.Get(ctx, key, there); err != nil {
			if apierrors.IsNotFound(err) {
				continue
			}
			return fmt.Errorf("read %s %s: %w", there.Kind, key, err)
		}
		if !belongs(there, name) {
			continue
		}
		if err := k.client.Delete(ctx, there, client.Preconditions{UID: &there.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s %s: %w", there.Kind, key, err)
		}
	}
	return nil
}

// tell lets the Gateway's owner know what cannot be made.
func (k *Keeper) tell(g *mesh.Gateway, object provision.Object, err error) {
	if apierrors.IsConflict(err) {
		return // passes
	}
	about := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: g.Name.Name, UID: object.GetOwnerReferences()[0].UID}}
	about.SetGroupVersionKind(schema.GroupVersionKind{Group: gatewayv1.GroupVersion.Group, Version: gatewayv1.GroupVersion.Version, Kind: "Gateway"})
	k.events.Eventf(about, nil, corev1.EventTypeWarning, "NotMade", "Provision", "%v", err)
}
