package gatewayapi

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

func transform(t *testing.T) toolscache.TransformFunc {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := snapshot.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return Transform(scheme)
}

// fromServer is a route as a dynamic client gives it.
func fromServer(spec map[string]any) *unstructured.Unstructured {
	u := As(served.HTTPRoute).(*unstructured.Unstructured)
	u.SetNamespace("shop")
	u.SetName("web")
	u.SetUID("uid")
	u.SetResourceVersion("7")
	u.SetGeneration(2)
	u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl"}})
	u.Object["spec"] = spec
	return u
}

func made(t *testing.T, obj any) *Object {
	t.Helper()
	out, err := transform(t)(obj)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := out.(*Object)
	if !ok {
		t.Fatalf("a %T", out)
	}
	return o
}

func TestTransformKeepsTheTypeAndWhatItLacks(t *testing.T) {
	got := made(t, fromServer(map[string]any{"hostnames": []any{"example.com"}, "new": int64(1)}))
	route, ok := got.Object.(*gatewayv1.HTTPRoute)
	if !ok || got.Err != nil {
		t.Fatalf("%T, %v", got.Object, got.Err)
	}
	if route.Name != "web" || route.Generation != 2 || !slices.Equal(route.Spec.Hostnames, []gatewayv1.Hostname{"example.com"}) || route.ManagedFields != nil {
		t.Errorf("route %+v", route)
	}
	if !slices.Equal(got.Unknown.Fields, []string{"spec.new"}) {
		t.Errorf("unknown %v", got.Unknown)
	}
	if again := made(t, got); again != got {
		t.Error("what was transformed is transformed again")
	}
	twin, ok := got.DeepCopyObject().(*Object)
	if !ok || twin == got || twin.Object == got.Object || twin.GetName() != "web" || !twin.Unknown.Any() {
		t.Errorf("copy %+v", twin)
	}
}

// TestTransformKeepsWhatDoesNotFit: its name must be known, and nothing may be taken for its contents.
func TestTransformKeepsWhatDoesNotFit(t *testing.T) {
	unknown := fromServer(nil)
	unknown.SetKind("NewRoute")
	for what, u := range map[string]*unstructured.Unstructured{
		"a value of another type": fromServer(map[string]any{"hostnames": "example.com"}),
		"a kind without a type":   unknown,
	} {
		got := made(t, u)
		if _, ok := got.Object.(*gatewayv1.HTTPRoute); ok || got.Err == nil {
			t.Errorf("%s: %T, %v", what, got.Object, got.Err)
		}
		key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(got)
		if err != nil || key != Key(mesh.Name{Namespace: "shop", Name: "web"}) || got.GetResourceVersion() != "7" || got.GetUID() != "uid" {
			t.Errorf("%s: key %q, %v, %+v", what, key, err, got.Object)
		}
	}
}

func TestTransformLeavesOtherKindsAlone(t *testing.T) {
	for _, in := range []metav1.Object{
		&gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{}}}},
		&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"managedFields": []any{map[string]any{}}}}},
	} {
		out, err := transform(t)(in)
		if err != nil || out != any(in) || in.GetManagedFields() != nil {
			t.Errorf("%T became %T, %v, %v", in, out, err, in.GetManagedFields())
		}
	}
}
