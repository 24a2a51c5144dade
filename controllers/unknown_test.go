package controllers_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/test/apiserver"
)

// testUnknownFields gives the cluster a definition of HTTPRoutes as a later version of the Gateway API may have it: with a field more,
// and with another type of value in a field that Leno knows.
func (m *running) testUnknownFields(t *testing.T, server *apiserver.Server) {
	m.redefine(t, "httproutes.gateway.networking.k8s.io", func(spec map[string]any) {
		rule := spec["rules"].(map[string]any)["items"].(map[string]any)["properties"].(map[string]any)
		rule["newThing"] = map[string]any{"type": "string"}
		spec["hostnames"] = map[string]any{"x-kubernetes-preserve-unknown-fields": true}
	})
	odd := newRoute("odd", map[string]any{"hostnames": "example.com", "rules": []any{map[string]any{}}})
	m.createStrictly(t, odd)
	route := newRoute("newer", map[string]any{"rules": []any{map[string]any{}, map[string]any{"newThing": "x"}}})
	m.createStrictly(t, route)
	// For a moment the API server hands out what the old definition has to those who watch already.
	eventually(t, "the new definition is in use for watches", func() string {
		patch := fmt.Appendf(nil, `[{"op": "replace", "path": "/spec/rules/1/newThing", "value": "%s"}]`, time.Now())
		if err := m.client.Patch(t.Context(), route, client.RawPatch(types.JSONPatchType, patch)); err != nil {
			return err.Error()
		}
		parents, _, _ := unstructured.NestedSlice(route.Object, "status", "parents")
		if !strings.Contains(fmt.Sprint(parents), "UnknownFields") {
			return fmt.Sprint(parents)
		}
		return ""
	})
	m.unknownFields(t, "newer", "spec.rules[1].newThing is not known to this version of Leno and has no effect: upgrade Leno, or remove the field")

	patch := []byte(`[{"op": "remove", "path": "/spec/rules/1/newThing"}]`)
	if err := m.client.Patch(t.Context(), route, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		t.Fatal(err)
	}
	m.unknownFields(t, "newer", "")

	// A route that cannot be read is left out, also of the next list, and is read again once it can be.
	patch = []byte(`[{"op": "replace", "path": "/spec/hostnames", "value": ["example.com"]}, {"op": "add", "path": "/spec/rules/0/newThing", "value": "x"}]`)
	if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(odd), odd); err != nil {
		t.Fatal(err)
	}
	if _, said, _ := unstructured.NestedMap(odd.Object, "status"); said {
		t.Errorf("there is a status of a route that cannot be read: %v", odd.Object["status"])
	}
	if err := m.client.Patch(t.Context(), odd, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		t.Fatal(err)
	}
	m.unknownFields(t, "odd", "spec.rules[0].newThing is not known to this version of Leno and has no effect: upgrade Leno, or remove the field")

	// All parts of the manager share one watch, and one copy of each object.
	for _, resource := range []string{"httproutes", "gateways", "gatewayclasses", "xbackendtrafficpolicies"} {
		eventually(t, "one watch of "+resource, func() string {
			if n := watches(t, server, resource); n != 1 {
				return fmt.Sprintf("there are %d", n)
			}
			return ""
		})
	}
}

// redefine changes the schema of the spec in a definition.
func (m *running) redefine(t *testing.T, name string, change func(properties map[string]any)) {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	if err := m.client.Get(t.Context(), client.ObjectKey{Name: name}, crd); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		properties, ok, err := unstructured.NestedMap(v.(map[string]any), "schema", "openAPIV3Schema", "properties", "spec", "properties")
		if err != nil || !ok {
			t.Fatalf("definition %s has no spec: %v", name, err)
		}
		change(properties)
		if err := unstructured.SetNestedMap(v.(map[string]any), properties, "schema", "openAPIV3Schema", "properties", "spec", "properties"); err != nil {
			t.Fatal(err)
		}
	}
	if err := unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	if err := m.client.Update(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
}

// newRoute is a route of the Service that the test of route status made.
func newRoute(name string, spec map[string]any) *unstructured.Unstructured {
	spec["parentRefs"] = []any{map[string]any{"group": "", "kind": "Service", "name": "cart"}}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
		"metadata": map[string]any{"namespace": "default", "name": name}, "spec": spec,
	}}
}

// createStrictly waits until the API server takes what the new definition has.
func (m *running) createStrictly(t *testing.T, obj *unstructured.Unstructured) {
	t.Helper()
	eventually(t, "the new definition is in use", func() string {
		if err := m.client.Create(t.Context(), obj.DeepCopy(), client.FieldValidation("Strict")); err != nil {
			return err.Error()
		}
		return ""
	})
}

// unknownFields waits until an accepted route says that of its unknown fields; "" for nothing.
func (m *running) unknownFields(t *testing.T, name, message string) {
	t.Helper()
	eventually(t, "unknown fields of route "+name, func() string {
		var route gatewayv1.HTTPRoute
		if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &route); err != nil {
			return err.Error()
		}
		if len(route.Status.Parents) != 1 {
			return fmt.Sprintf("%d parents", len(route.Status.Parents))
		}
		conditions := route.Status.Parents[0].Conditions
		accepted := meta.FindStatusCondition(conditions, "Accepted")
		if accepted == nil || accepted.Status != metav1.ConditionTrue || accepted.ObservedGeneration != route.Generation {
			return fmt.Sprint(conditions)
		}
		unknown := meta.FindStatusCondition(conditions, "UnknownFields")
		if unknown == nil && message == "" {
			return ""
		}
		if unknown == nil || unknown.Status != metav1.ConditionTrue || unknown.Message != message || unknown.ObservedGeneration != route.Generation {
			return fmt.Sprint(conditions)
		}
		return ""
	})
}

// watches counts those of a resource that are open.
func watches(t *testing.T, server *apiserver.Server, resource string) int {
	t.Helper()
	c, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(server.Config.Host, "/")+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("metrics of the API server: %s", resp.Status)
	}
	total := 0
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "apiserver_longrunning_requests{") && strings.Contains(line, `resource="`+resource+`"`) && strings.Contains(line, `verb="WATCH"`) {
			var n int
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			total += n
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return total
}
