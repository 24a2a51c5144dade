package webhook

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
)

// noMesh is a cluster without a Mesh.
type noMesh struct{ client.Reader }

func (noMesh) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "meshes"}, key.Name)
}

func TestHandle(t *testing.T) {
	enabled := map[string]string{mesh.LabelInject: inject.Enabled}
	for name, tc := range map[string]struct {
		namespace       string
		namespaceLabels map[string]string
		pod             string
		allowed         bool
		injected        bool
		message         string
	}{
		"the namespace asks":            {"shop", enabled, `{"spec":{"containers":[{"name":"web"}]}}`, true, true, ""},
		"the pod asks":                  {"shop", nil, `{"metadata":{"labels":{"mesh.leno.dev/inject":"enabled"}},"spec":{"containers":[{"name":"web"}]}}`, true, true, ""},
		"nobody asks":                   {"shop", nil, `{"spec":{"containers":[{"name":"web"}]}}`, true, false, "neither"},
		"kube-system never":             {"kube-system", enabled, `{"spec":{"containers":[{"name":"dns"}]}}`, true, false, "never injected"},
		"a bad annotation is named":     {"shop", enabled, `{"metadata":{"annotations":{"mesh.leno.dev/log-level":"loud"}},"spec":{"containers":[{"name":"web"}]}}`, false, false, `mesh.leno.dev/log-level="loud"`},
		"what is not a pod is an error": {"shop", enabled, `[]`, false, false, "decode"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &handler{client: noMesh{}, labels: tc.namespaceLabels}
			answer := h.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Namespace: tc.namespace, Object: runtime.RawExtension{Raw: []byte(tc.pod)},
			}})
			if answer.Allowed != tc.allowed {
				t.Fatalf("allowed %v, want %v: %v", answer.Allowed, tc.allowed, answer.Result)
			}
			if answer.Result != nil && !strings.Contains(answer.Result.Message, tc.message) {
				t.Errorf("message %q does not contain %q", answer.Result.Message, tc.message)
			}
			if !tc.allowed {
				return
			}
			if got := inject.Injected(patched(t, tc.pod, answer)); got != tc.injected {
				t.Errorf("injected %v, want %v", got, tc.injected)
			}
		})
	}
}

func patched(t *testing.T, pod string, answer admission.Response) *corev1.Pod {
	t.Helper()
	text, err := json.Marshal(answer.Patches)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := patch.Apply([]byte(pod))
	if err != nil {
		t.Fatal(err)
	}
	var p corev1.Pod
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}
