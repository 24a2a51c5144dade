// Package webhook admits pods: it asks internal/inject whether a pod gets a sidecar and answers with the difference.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Paths of the webhook. The API server has looked at the labels of the namespace before it calls: which path it calls
// says what it found, so that no stale cache can let a pod through without its sidecar.
const (
	PathNamespace = "/inject/namespace" // the namespace has the label mesh.leno.dev/inject=enabled
	PathPod       = "/inject/pod"       // it has not, but the pod has the label
)

// Register adds the paths to a server. classic tells that the cluster does not know native sidecars.
func Register(server webhook.Server, c client.Reader, classic bool) {
	server.Register(PathNamespace, &webhook.Admission{Handler: &handler{client: c, classic: classic, labels: map[string]string{mesh.LabelInject: inject.Enabled}}})
	server.Register(PathPod, &webhook.Admission{Handler: &handler{client: c, classic: classic}})
}

type handler struct {
	client  client.Reader
	classic bool
	labels  map[string]string // of the namespace, as far as they matter
}

// Handle answers for one pod.
func (h *handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	var pod corev1.Pod
	if err := json.Unmarshal(req.Object.Raw, &pod); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("decode the pod: %w", err))
	}
	settings, err := h.settings(ctx)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	decision := inject.Decide(&pod, inject.Namespace{Name: req.Namespace, Labels: h.labels}, settings)
	if err := decision.Err(); err != nil {
		return admission.Denied(err.Error()).WithWarnings(decision.Warnings...)
	}
	why := strings.Join(decision.Reasons, "; ")
	slog.DebugContext(ctx, "pod admitted", "namespace", req.Namespace, "name", pod.Name+pod.GenerateName, "inject", decision.Inject, "why", why)
	if !decision.Inject {
		return admission.Allowed(why).WithWarnings(decision.Warnings...)
	}
	out, err := inject.ApplyJSON(req.Object.Raw, settings)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	answer := admission.PatchResponseFromRaw(req.Object.Raw, out)
	answer.AuditAnnotations = map[string]string{"inject": why}
	return answer.WithWarnings(decision.Warnings...)
}

func (h *handler) settings(ctx context.Context) (inject.Settings, error) {
	var m v1alpha1.Mesh
	if err := h.client.Get(ctx, client.ObjectKey{Name: v1alpha1.MeshName}, &m); err != nil && !apierrors.IsNotFound(err) {
		return inject.Settings{}, fmt.Errorf("read Mesh %s: %w", v1alpha1.MeshName, err)
	}
	s := inject.FromMesh(&m)
	s.Classic = h.classic
	return s, nil
}
