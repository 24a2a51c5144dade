package gateways_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/test/apiserver"
	"github.com/leno-mesh/leno/test/golden"
)

// TestValidation is what the API server says about GatewayParameters (accepted when says is empty, refused with these words if not),
// and about what is made for Gateways.
func TestValidation(t *testing.T) {
	server := apiserver.Start(t)
	server.Install(t, "sigs.k8s.io/gateway-api", "config/crd/experimental")
	c, err := client.New(server.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct{ spec, says string }{
		"nothing":                             {"{}", ""},
		"as many as must stay":                {"{replicas: 2, minAvailable: 2}", "minAvailable must be below replicas"},
		"one that must stay of one":           {"{replicas: 1, minAvailable: 1}", "minAvailable must be below replicas"},
		"fewer that must stay":                {"{replicas: 2, minAvailable: 1}", ""},
		"a part that must stay":               {"{replicas: 2, minAvailable: 50%}", ""},
		"a number that must stay of any":      {"{minAvailable: 3}", ""},
		"all must stay":                       {"{minAvailable: 100%}", "a part below 100%"},
		"a part that is none":                 {"{minAvailable: most}", "a part below 100%"},
		"a number below zero":                 {"{minAvailable: -1}", "a part below 100%"},
		"no replicas":                         {"{replicas: 0}", "spec.replicas"},
		"a type of Service that is none":      {"{service: {type: ExternalName}}", `supported values: "LoadBalancer", "NodePort", "ClusterIP"`},
		"resources that are no quantities":    {"{resources: {requests: {cpu: much}}}", "spec.resources.requests.cpu"},
		"devices that are claimed":            {"{resources: {claims: [{name: gpu}]}}", "leave claims out"},
		"tolerations that are no tolerations": {"{tolerations: [edge]}", "spec.tolerations"},
	} {
		t.Run(what, func(t *testing.T) {
			obj := &unstructured.Unstructured{Object: map[string]any{}}
			var spec map[string]any
			if err := yaml.Unmarshal([]byte(tc.spec), &spec); err != nil {
				t.Fatal(err)
			}
			obj.SetAPIVersion("mesh.leno.dev/v1alpha1")
			obj.SetKind("GatewayParameters")
			obj.SetNamespace("default")
			obj.SetName("edge")
			obj.Object["spec"] = spec
			err := c.Create(t.Context(), obj, client.DryRunAll)
			apiserver.Says(t, err, tc.says)
		})
	}
	t.Run("the sample", func(t *testing.T) {
		for _, obj := range objects(t, "../../config/samples/gatewayparameters.yaml") {
			obj.SetNamespace("default")
			if err := c.Create(t.Context(), obj, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("the class of the cluster for tests", func(t *testing.T) {
		for _, obj := range objects(t, "../../hack/gatewayclass.yaml") {
			if controller, _, _ := unstructured.NestedString(obj.Object, "spec", "controllerName"); obj.GetKind() == "GatewayClass" && controller != status.ControllerName {
				t.Errorf("it is of controller %s", controller)
			}
			if obj.GetNamespace() != "" {
				obj.SetNamespace("default") // what is there
			}
			if err := c.Create(t.Context(), obj, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("what is made", func(t *testing.T) { testAccepted(t, c) })
}

// testAccepted: every object of the cases of internal/provision is one that Kubernetes takes, and its pods may run where the pod
// security standard "restricted" is enforced.
func testAccepted(t *testing.T, c client.Client) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pods"}}
	for _, o := range []client.Object{ns, account} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range golden.Files(t, "../../internal/provision/testdata/*.out.yaml") {
		for _, obj := range objects(t, file) {
			if obj.GetKind() == "Deployment" {
				var d appsv1.Deployment
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &d); err != nil {
					t.Fatal(err)
				}
				pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
				pod.Namespace, pod.Name, pod.Spec.ServiceAccountName = "shop", "pod", account.Name
				if err := c.Create(t.Context(), pod, client.DryRunAll); err != nil {
					t.Errorf("%s: pod: %v", filepath.Base(file), err)
				}
			}
			for _, field := range []string{"clusterIP", "clusterIPs"} { // of another cluster
				unstructured.RemoveNestedField(obj.Object, "spec", field)
			}
			if err := c.Create(t.Context(), obj, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
		}
	}
}

func objects(t *testing.T, file string) (all []*unstructured.Unstructured) {
	t.Helper()
	from, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	decoder := k8syaml.NewYAMLOrJSONDecoder(from, 4096)
	for {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(obj); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(obj.Object) > 0 {
			all = append(all, obj)
		}
	}
}
