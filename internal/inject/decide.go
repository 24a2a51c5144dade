// Package inject puts the sidecar into pods: Decide says whether and why, Apply does it, Remove takes it out again. All
// three are functions of their arguments, used alike by the admission webhook and by the command line.
package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Values of the label mesh.leno.dev/inject.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)

// ProtectedNamespaces are never injected: the mesh needs what runs there to come up itself.
var ProtectedNamespaces = []string{"kube-system", mesh.SystemNamespace}

// Namespace is what the injector needs to know of a pod's namespace.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Decision is whether a pod gets a sidecar.
type Decision struct {
	Inject bool
	// Reasons say why, in the order they were found; the last one decided.
	Reasons []string
	// Errors must be mended before the pod can be created. They are set only for pods that asked for a sidecar.
	Errors []string
	// Warnings are told to whoever creates the pod.
	Warnings []string
}

// Err joins the errors, or is nil.
func (d Decision) Err() error {
	if len(d.Errors) == 0 {
		return nil
	}
	return fmt.Errorf("the sidecar cannot be injected: %s", strings.Join(d.Errors, "; "))
}

// Decide tells whether a pod of a namespace gets a sidecar.
func Decide(pod *corev1.Pod, ns Namespace, s Settings) Decision {
	var d Decision
	if why := impossible(pod, ns); why != "" {
		d.Reasons = append(d.Reasons, why)
		return d
	}
	d.want(pod.Labels, ns)
	if !d.Inject && len(d.Errors) == 0 {
		return d
	}
	_, errs, warnings := parseOverrides(pod.Annotations, s)
	bare := Remove(pod)
	d.Errors = slices.Concat(d.Errors, errs, conflicts(bare))
	d.Warnings = slices.Concat(warnings, probeWarnings(bare))
	d.Inject = len(d.Errors) == 0
	return d
}

// impossible is why a pod can never have a sidecar, or "".
func impossible(pod *corev1.Pod, ns Namespace) string {
	switch {
	case slices.Contains(ProtectedNamespaces, ns.Name):
		return fmt.Sprintf("namespace %s is never injected", ns.Name)
	case pod.Spec.HostNetwork:
		return "the pod uses the host's network, which cannot be captured"
	case pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows:
		return "the pod runs on Windows, which has no sidecar"
	}
	return ""
}

// want reads the labels: the pod's wins over the namespace's.
func (d *Decision) want(podLabels map[string]string, ns Namespace) {
	for _, from := range []struct {
		noun   string
		labels map[string]string
	}{
		{"the pod", podLabels},
		{"namespace " + ns.Name, ns.Labels},
	} {
		switch value, ok := from.labels[mesh.LabelInject]; {
		case !ok:
		case value == Enabled, value == Disabled:
			d.Inject = value == Enabled
			d.Reasons = append(d.Reasons, fmt.Sprintf("%s has the label %s=%s", from.noun, mesh.LabelInject, value))
			return
		default:
			d.Errors = append(d.Errors, fmt.Sprintf("label %s=%q on %s is not understood: use %q or %q",
				mesh.LabelInject, value, from.noun, Enabled, Disabled))
			return
		}
	}
	d.Reasons = append(d.Reasons, fmt.Sprintf("neither the pod nor namespace %s has the label %s", ns.Name, mesh.LabelInject))
}

// conflicts are things in the pod that would break the sidecar or slip past it.
func conflicts(pod *corev1.Pod) []string {
	var errs []string
	if sc := pod.Spec.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == mesh.ProxyUID {
		errs = append(errs, fmt.Sprintf("the pod runs as user %d, which is the sidecar's and is not captured: use another user", mesh.ProxyUID))
	}
	for c := range containers(pod) {
		if c.Name == mesh.ProxyContainer || c.Name == mesh.InitContainer {
			errs = append(errs, fmt.Sprintf("container %s has a name that the sidecar needs: rename it", c.Name))
			continue
		}
		if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == mesh.ProxyUID {
			errs = append(errs, fmt.Sprintf("container %s runs as user %d, which is the sidecar's and is not captured: use another user", c.Name, mesh.ProxyUID))
		}
		for _, p := range c.Ports {
			if slices.Contains(proxyPorts, p.ContainerPort) && p.Protocol != corev1.ProtocolUDP {
				errs = append(errs, fmt.Sprintf("container %s listens on port %d, which the sidecar needs: use another port", c.Name, p.ContainerPort))
			}
		}
	}
	return errs
}

var proxyPorts = []int32{mesh.PortAdmin, mesh.PortOutbound, mesh.PortInbound, mesh.PortHealth}
