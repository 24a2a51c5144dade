package status

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/controllers/gatewayapi"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

var shop = mesh.Name{Namespace: "shop", Name: "cart"}

// routes is an API server with one route in it. It refuses the first writes as conflicts.
type routes struct {
	mu        sync.Mutex // guards what follows
	route     *gatewayv1.HTTPRoute
	conflicts int
	writes    int
}

func (r *routes) Status() client.SubResourceWriter { return statusOf{routes: r} }

// statusOf is the status subresource of the routes.
type statusOf struct {
	client.SubResourceWriter
	routes *routes
}

func (r *routes) read(context.Context, schema.GroupVersionKind, mesh.Name) (*gatewayapi.Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &gatewayapi.Object{Object: r.route.DeepCopy()}, nil
}

func (s statusOf) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	r := s.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conflicts > 0 {
		r.conflicts--
		return apierrors.NewConflict(schema.GroupResource{Resource: "httproutes"}, obj.GetName(), nil)
	}
	r.writes++
	r.route = obj.(*gatewayv1.HTTPRoute).DeepCopy()
	return nil
}

func (r *routes) written() (int, []gatewayv1.RouteParentStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writes, r.route.Status.Parents
}

func want(generation int64, reason string) []status.Want {
	return []status.Want{{Kind: "HTTPRoute", Name: shop, Generation: generation, Parents: []status.Parent{{
		Ref:        status.ParentRef{Kind: "Service", Name: "cart"},
		Conditions: []status.Condition{{Type: "Accepted", Status: reason == "Accepted", Reason: reason}},
	}}}}
}

func TestWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &routes{route: &gatewayv1.HTTPRoute{}, conflicts: 2}
		api.route.Status.Parents = []gatewayv1.RouteParentStatus{{ControllerName: "example.com/other", ParentRef: gatewayv1.ParentReference{Name: "gw"}}}
		w := New(api, api.read)
		w.Set(want(1, "Accepted"))
		synctest.Wait()
		if n, _ := api.written(); n != 0 {
			t.Fatalf("%d writes before it leads", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { _ = w.Start(ctx) })

		settle(t, api, 1, "conflicts are tried again, and written once")
		w.Set(want(1, "Accepted"))
		w.Touch("HTTPRoute", shop)
		settle(t, api, 1, "the same wish is not written again")
		w.Set(want(2, "NoMatchingParent"))
		settle(t, api, 2, "another wish is written")
		if _, parents := api.written(); len(parents) != 2 || parents[0].ControllerName != "example.com/other" ||
			parents[1].Conditions[0].ObservedGeneration != 2 || parents[1].Conditions[0].Reason != "NoMatchingParent" {
			t.Errorf("status %+v", parents)
		}
		api.mu.Lock()
		api.route.Status.Parents = nil // somebody wiped it
		api.mu.Unlock()
		w.Touch("HTTPRoute", shop)
		settle(t, api, 3, "what somebody wiped is written again")
		again := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: shop.Namespace, Name: shop.Name}}
		api.mu.Lock()
		api.route = again.DeepCopy()
		api.mu.Unlock()
		w.touching("HTTPRoute").OnAdd(&gatewayapi.Object{Object: again}, false)
		settle(t, api, 4, "an object that was made again, with the same wish, has its status")
		cancel()
		done.Wait()
	})
}

// settle lets the writer come to rest, retries included.
func settle(t *testing.T, api *routes, writes int, what string) {
	t.Helper()
	<-time.After(retryMost) // by the bubble's clock
	synctest.Wait()
	if n, _ := api.written(); n != writes {
		t.Fatalf("%s: %d writes, want %d", what, n, writes)
	}
}
