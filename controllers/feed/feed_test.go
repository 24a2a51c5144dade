package feed

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/leno-mesh/leno/controllers/gatewayapi"
	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// TestTable: the feed knows every kind of the snapshot, and each row makes objects of its kind.
func TestTable(t *testing.T) {
	rows := map[snapshot.Kind]bool{}
	for _, r := range kinds {
		rows[r.kind] = true
		if kind, ok := snapshot.KindOf(r.new()); !ok || kind != r.kind {
			t.Errorf("row %s makes a %s", r.kind, kind)
		}
	}
	for _, kind := range snapshot.Kinds() {
		if !rows[kind] {
			t.Errorf("nothing feeds %s", kind)
		}
	}
}

// TestState: definitions come in versions, and of two rows of a kind one is watched.
func TestState(t *testing.T) {
	for what, tc := range map[string]struct {
		served   []schema.GroupVersionKind
		v1, beta state
	}{
		"none":     {nil, absent, absent},
		"old":      {[]schema.GroupVersionKind{served.ReferenceGrantV1Beta1}, absent, watchable},
		"both":     {[]schema.GroupVersionKind{served.ReferenceGrantV1Beta1, served.ReferenceGrant}, watchable, needless},
		"only new": {[]schema.GroupVersionKind{served.ReferenceGrant}, watchable, needless},
	} {
		mapper := meta.NewDefaultRESTMapper(nil)
		for _, k := range tc.served {
			mapper.Add(k, meta.RESTScopeNamespace)
		}
		var got []state
		for _, r := range kinds {
			if r.kind == snapshot.KindReferenceGrant {
				s, err := r.state(mapper)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, s)
			}
		}
		if len(got) != 2 || got[0] != tc.v1 || got[1] != tc.beta {
			t.Errorf("%s: %v, want %v", what, got, []state{tc.v1, tc.beta})
		}
	}
}

// TestStrip: what the graph and the certificates read is kept, what costs memory goes.
func TestStrip(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "cart-1", UID: "uid", Labels: map[string]string{"app": "cart"}, ManagedFields: []metav1.ManagedFieldsEntry{{}},
			Annotations:     map[string]string{"mesh.leno.dev/injected": "native", "kubectl.kubernetes.io/last-applied-configuration": "much"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet"}},
		},
		Spec: corev1.PodSpec{
			NodeName: "node", ServiceAccountName: "cart", Volumes: []corev1.Volume{{Name: "data"}},
			InitContainers: []corev1.Container{{Name: "leno-proxy", Env: []corev1.EnvVar{{Name: "A"}}}},
			Containers:     []corev1.Container{{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}, Command: []string{"web"}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, ContainerStatuses: []corev1.ContainerStatus{{}}},
	}
	out, err := Strip(pod)
	if err != nil {
		t.Fatal(err)
	}
	got := out.(*corev1.Pod)
	if got.UID != "uid" || got.Labels["app"] != "cart" || len(got.OwnerReferences) != 1 || got.Annotations["mesh.leno.dev/injected"] != "native" ||
		got.Spec.NodeName != "node" || got.Spec.ServiceAccountName != "cart" || got.Spec.InitContainers[0].Name != "leno-proxy" ||
		got.Spec.Containers[0].Ports[0].Name != "http" || got.Status.PodIP != "10.0.0.1" || got.Status.Phase != corev1.PodRunning {
		t.Errorf("lost something: %+v", got)
	}
	if len(got.Annotations) != 1 || got.ManagedFields != nil || got.Spec.Volumes != nil || got.Spec.InitContainers[0].Env != nil ||
		got.Spec.Containers[0].Command != nil || got.Status.ContainerStatuses != nil {
		t.Errorf("kept something: %+v", got)
	}
}

// TestNews: what the cache has of an object is handed over, and one that cannot be read is no news.
func TestNews(t *testing.T) {
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	grant := &gatewayv1beta1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	unknown := snapshot.Unknown{Fields: []string{"spec.new"}}
	for what, tc := range map[string]struct {
		obj  any
		kind snapshot.Kind // "" for no news
	}{
		"a route":                  {&gatewayapi.Object{Object: route, Unknown: unknown}, snapshot.KindHTTPRoute},
		"a grant of an older kind": {&gatewayapi.Object{Object: grant, Unknown: unknown}, snapshot.KindReferenceGrant},
		"a route that does not fit": {
			&gatewayapi.Object{Object: &metav1.PartialObjectMetadata{ObjectMeta: route.ObjectMeta}, Err: errors.New("hostnames are no list")}, "",
		},
		"a pod": {&corev1.Pod{}, snapshot.KindPod},
	} {
		event, ok := (&Feed{}).news(t.Context(), row{kind: tc.kind}, tc.obj)
		if ok != (tc.kind != "") || event.Ref.Kind != tc.kind {
			t.Errorf("%s: %+v, %v", what, event, ok)
		}
		if ok && event.Unknown.Any() != (tc.kind != snapshot.KindPod) {
			t.Errorf("%s: unknown are %v", what, event.Unknown)
		}
	}
}

// TestAsked: no kind of the Gateway API is asked for by its type, which would drop what it does not know.
func TestAsked(t *testing.T) {
	for _, r := range kinds {
		_, raw := r.asked().(*unstructured.Unstructured)
		typed := r.new()
		if ours := strings.HasPrefix(reflect.TypeOf(typed).Elem().PkgPath(), "sigs.k8s.io/gateway-api/"); raw != ours {
			t.Errorf("%s is asked for as %T, and made as %T", r.kind, r.asked(), typed)
		}
	}
}
