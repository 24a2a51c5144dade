package graph_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// The size of a large mesh: each Service has its route of 5 rules and its 10 injected pods.
const (
	benchServices = 1000
	benchPods     = 10
	benchRules    = 5
)

func benchCluster() []snapshot.Event {
	var out []snapshot.Event
	for i := range benchServices {
		meta := metav1.ObjectMeta{Namespace: fmt.Sprintf("ns%d", i%20), Name: fmt.Sprintf("svc%d", i), Generation: 1}
		out = append(out, snapshot.Upsert(&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
			ClusterIP: fmt.Sprintf("10.96.%d.%d", i/250, i%250), Selector: map[string]string{"app": meta.Name},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		}}))
		out = append(out, snapshot.Upsert(benchSlice(i, benchPods)), snapshot.Upsert(benchRoute(meta)))
		for j := range benchPods {
			out = append(out, snapshot.Upsert(benchPod(i, j)))
		}
	}
	return out
}

func benchAddress(i, j int) string { return fmt.Sprintf("10.%d.%d.%d", j, i/250, i%250) }

func benchPod(i, j int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("ns%d", i%20), Name: fmt.Sprintf("svc%d-%d", i, j),
			Labels: map[string]string{"app": fmt.Sprintf("svc%d", i), "version": "v1", "pod-template-hash": "abc"},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}, {Name: "leno-proxy"}}},
		Status: corev1.PodStatus{PodIP: benchAddress(i, j)},
	}
}

func benchSlice(i, pods int) *discoveryv1.EndpointSlice {
	port, name := int32(8080), "http"
	out := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("ns%d", i%20), Name: fmt.Sprintf("svc%d-x", i),
			Labels: map[string]string{discoveryv1.LabelServiceName: fmt.Sprintf("svc%d", i)},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for j := range pods {
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{benchAddress(i, j)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: fmt.Sprintf("svc%d-%d", i, j)},
		})
	}
	return out
}

func benchRoute(meta metav1.ObjectMeta) *gatewayv1.HTTPRoute {
	group, kind, port := gatewayv1.Group(""), gatewayv1.Kind("Service"), gatewayv1.PortNumber(80)
	route := &gatewayv1.HTTPRoute{ObjectMeta: meta}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Group: &group, Kind: &kind, Name: gatewayv1.ObjectName(meta.Name)}}
	for k := range benchRules {
		path := fmt.Sprintf("/path/%d", k)
		rule := gatewayv1.HTTPRouteRule{Matches: []gatewayv1.HTTPRouteMatch{{
			Path: &gatewayv1.HTTPPathMatch{Value: &path}, Headers: []gatewayv1.HTTPHeaderMatch{{Name: "X-Version", Value: "v1"}},
		}}}
		ref := gatewayv1.HTTPBackendRef{}
		ref.Name, ref.Port = gatewayv1.ObjectName(meta.Name), &port
		rule.BackendRefs = []gatewayv1.HTTPBackendRef{ref}
		route.Spec.Rules = append(route.Spec.Rules, rule)
	}
	return route
}

func BenchmarkBuild(b *testing.B) {
	s := (&snapshot.Snapshot{}).With(benchCluster())
	for b.Loop() {
		graph.Build(s, graph.Options{})
	}
}

// BenchmarkOneEndpoint is one slice with an endpoint more or less, from event to mesh.
func BenchmarkOneEndpoint(b *testing.B) {
	s := (&snapshot.Snapshot{}).With(benchCluster())
	m := graph.Build(s, graph.Options{}).Mesh
	for i := 0; b.Loop(); i++ {
		s = s.With([]snapshot.Event{snapshot.Upsert(benchSlice(7, benchPods-i%2-1))})
		if m = graph.Endpoints(s, m, graph.Options{}); m == nil {
			b.Fatal("not the short way")
		}
	}
}

// BenchmarkOnePodAndEndpoint is what a pod that becomes ready costs.
func BenchmarkOnePodAndEndpoint(b *testing.B) {
	s := (&snapshot.Snapshot{}).With(benchCluster())
	m := graph.Build(s, graph.Options{}).Mesh
	for i := 0; b.Loop(); i++ {
		s = s.With([]snapshot.Event{snapshot.Upsert(benchPod(7, 3)), snapshot.Upsert(benchSlice(7, benchPods-i%2-1))})
		if m = graph.Endpoints(s, m, graph.Options{}); m == nil {
			b.Fatal("not the short way")
		}
	}
}

// BenchmarkOneRoute is one edited route, from event to mesh.
func BenchmarkOneRoute(b *testing.B) {
	s := (&snapshot.Snapshot{}).With(benchCluster())
	for i := 0; b.Loop(); i++ {
		route := benchRoute(metav1.ObjectMeta{Namespace: "ns7", Name: "svc7", Generation: int64(i + 2)})
		s = s.With([]snapshot.Event{snapshot.Upsert(route)})
		graph.Build(s, graph.Options{})
	}
}
