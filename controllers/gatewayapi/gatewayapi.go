// Package gatewayapi reads the kinds of the Gateway API through the manager's cache. A cluster may have definitions that are newer
// than Leno's types, and a client for types drops in silence what those lack. So the cache watches the objects as the API server
// hands them out, and keeps of each the typed object and the names of what was dropped.
package gatewayapi

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// Object is what the cache keeps of an object. It belongs to everybody: nobody changes it.
type Object struct {
	client.Object
	Unknown snapshot.Unknown
	// Err tells why the object does not fit its type; Object is its metadata then.
	Err error
}

// DeepCopyObject copies all of it, not only what is embedded.
func (o *Object) DeepCopyObject() runtime.Object {
	out := *o
	if inner, ok := o.Object.DeepCopyObject().(client.Object); ok {
		out.Object = inner
	}
	return &out
}

// Has tells whether a kind is one of the Gateway API.
func Has(kind schema.GroupVersionKind) bool {
	return strings.HasPrefix(kind.Group, "gateway.networking.")
}

// As is how to ask the cache for a kind. Nobody asks it for the type: it would watch the kind a second time.
func As(kind schema.GroupVersionKind) client.Object {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u
}

// Transform makes the Objects of a cache. An object that does not fit its type is kept as such: an error would keep the cache from all
// others of the kind.
func Transform(scheme *runtime.Scheme) toolscache.TransformFunc {
	strip := cache.TransformStripManagedFields()
	return func(obj any) (any, error) {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok || !Has(u.GroupVersionKind()) {
			return strip(obj)
		}
		u.SetManagedFields(nil)
		return typed(scheme, u), nil
	}
}

func typed(scheme *runtime.Scheme, u *unstructured.Unstructured) *Object {
	empty, err := scheme.New(u.GroupVersionKind())
	into, ok := empty.(client.Object)
	if err == nil && !ok {
		err = fmt.Errorf("%T is no object", empty)
	}
	var unknown snapshot.Unknown
	if err == nil {
		unknown, err = snapshot.Read(u.Object, into)
	}
	if err == nil {
		return &Object{Object: into, Unknown: unknown}
	}
	rest := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(), Generation: u.GetGeneration(),
	}}
	rest.SetGroupVersionKind(u.GroupVersionKind())
	return &Object{Object: rest, Err: err}
}

// Get is an object in a cache that was made with Transform; nil: there is none.
func Get(ctx context.Context, from cache.Cache, kind schema.GroupVersionKind, name mesh.Name) (*Object, error) {
	informer, err := from.GetInformer(ctx, As(kind))
	if err != nil {
		return nil, err
	}
	store, err := Store(informer)
	if err != nil {
		return nil, err
	}
	found, ok, err := store.GetByKey(Key(name))
	if !ok || err != nil {
		return nil, err
	}
	obj, ok := found.(*Object)
	if !ok {
		return nil, fmt.Errorf("the cache holds a %T for %s %s", found, kind.Kind, name)
	}
	return obj, nil
}

// Store is where an informer keeps its objects. A cache's own way to read copies them into a type of the reader's.
func Store(informer cache.Informer) (toolscache.Store, error) {
	i, ok := informer.(interface{ GetStore() toolscache.Store })
	if !ok {
		return nil, fmt.Errorf("a %T has no store", informer)
	}
	return i.GetStore(), nil
}

// Key is that of an object in a Store.
func Key(name mesh.Name) string { return toolscache.NewObjectName(name.Namespace, name.Name).String() }
