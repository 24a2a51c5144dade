package local

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// Object is a typed Kubernetes API object.
type Object = snapshot.Object

// sorted is a set of manifests by what becomes of them, each part in the order of names.
type sorted struct {
	services    []*corev1.Service
	deployments []*appsv1.Deployment
	namespaces  map[string]*corev1.Namespace
	rest        []snapshot.Object
	notes       []string
}

// sort takes the objects apart. Objects without a namespace are in "default", as with kubectl.
func sort(objects []Object) *sorted {
	s := &sorted{namespaces: map[string]*corev1.Namespace{}}
	for _, obj := range objects {
		switch o := obj.(type) {
		case *corev1.Namespace:
			s.namespaces[o.Name] = o
		case *corev1.Service:
			s.services = append(s.services, o)
		case *appsv1.Deployment:
			s.deployments = append(s.deployments, o)
		default:
			if kind, known := snapshot.KindOf(obj); known && kind != snapshot.KindPod && kind != snapshot.KindNode {
				s.rest = append(s.rest, obj)
				continue
			}
			s.notes = append(s.notes, fmt.Sprintf("%T %s/%s is not run: Deployments are", obj, obj.GetNamespace(), obj.GetName()))
		}
	}
	byName := func(a, b metav1.Object) int { return compareNames(nameOf(a), nameOf(b)) }
	slices.SortFunc(s.services, func(a, b *corev1.Service) int { return byName(a, b) })
	slices.SortFunc(s.deployments, func(a, b *appsv1.Deployment) int { return byName(a, b) })
	return s
}

// allNamespaces adds those that objects are in and nobody declared.
func (s *sorted) allNamespaces() []*corev1.Namespace {
	all := map[string]*corev1.Namespace{}
	add := func(obj metav1.Object) {
		name := obj.GetNamespace()
		if name != "" && all[name] == nil {
			all[name] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		}
	}
	for _, o := range s.services {
		add(o)
	}
	for _, o := range s.deployments {
		add(o)
	}
	for _, o := range s.rest {
		add(o)
	}
	for name, declared := range s.namespaces {
		all[name] = declared
	}
	out := make([]*corev1.Namespace, 0, len(all))
	for _, namespace := range all {
		out = append(out, namespace)
	}
	slices.SortFunc(out, func(a, b *corev1.Namespace) int { return compareNames(nameOf(a), nameOf(b)) })
	return out
}

func nameOf(obj metav1.Object) mesh.Name {
	return mesh.Name{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}
