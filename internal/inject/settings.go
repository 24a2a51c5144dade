package inject

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Settings are how sidecars are made in this cluster.
type Settings struct {
	Image       string
	Resources   corev1.ResourceRequirements
	LogLevel    string
	TrustDomain string
	// Classic puts the sidecar among the ordinary containers, for clusters before Kubernetes 1.29, which do not know
	// init containers that keep running.
	Classic bool
}

// FromMesh takes the settings from a Mesh; nil and empty fields mean the defaults.
func FromMesh(m *v1alpha1.Mesh) Settings {
	if m == nil {
		m = &v1alpha1.Mesh{}
	}
	s := Settings{
		Image:       cmp.Or(m.Spec.Proxy.Image, "leno-proxy:dev"),
		Resources:   *m.Spec.Proxy.Resources.DeepCopy(),
		LogLevel:    cmp.Or(string(m.Spec.Proxy.LogLevel), "info"),
		TrustDomain: cmp.Or(m.Spec.TrustDomain, "cluster.local"),
	}
	if s.Resources.Requests == nil && s.Resources.Limits == nil {
		s.Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		}
	}
	return s
}

// Annotations that a pod may carry to have its sidecar made differently.
const (
	AnnotationExcludeOutboundPorts = "mesh.leno.dev/exclude-outbound-ports"
	AnnotationExcludeInboundPorts  = "mesh.leno.dev/exclude-inbound-ports"
	AnnotationExcludeOutboundCIDRs = "mesh.leno.dev/exclude-outbound-cidrs"
	AnnotationProxyCPU             = "mesh.leno.dev/proxy-cpu"
	AnnotationProxyMemory          = "mesh.leno.dev/proxy-memory"
	AnnotationLogLevel             = "mesh.leno.dev/log-level"

	annotationPrefix = "mesh.leno.dev/"
	// annotationRun is for "leno run", which starts pods without a cluster; the injector has no use for it.
	annotationRun = "mesh.leno.dev/run"
)

// overrides is what the annotations of one pod make of the settings.
type overrides struct {
	excludeOutboundPorts []string
	excludeInboundPorts  []string
	excludeOutboundCIDRs []string
	resources            corev1.ResourceRequirements
	logLevel             string
}

// annotations is what is understood: how each one is read, and how it is described when it cannot be.
var annotations = map[string]struct {
	accepts string
	read    func(value string, into *overrides) error
}{
	AnnotationExcludeOutboundPorts: {"a comma list of ports from 1 to 65535, as in \"3306,6379\"", func(v string, o *overrides) (err error) {
		o.excludeOutboundPorts, err = list(v, port)
		return err
	}},
	AnnotationExcludeInboundPorts: {"a comma list of ports from 1 to 65535, as in \"9090\"", func(v string, o *overrides) (err error) {
		o.excludeInboundPorts, err = list(v, port)
		return err
	}},
	AnnotationExcludeOutboundCIDRs: {"a comma list of CIDRs, as in \"10.1.0.0/16,fd00::/8\"", func(v string, o *overrides) (err error) {
		o.excludeOutboundCIDRs, err = list(v, cidr)
		return err
	}},
	AnnotationProxyCPU: {"a positive quantity of CPU, as in \"100m\"", func(v string, o *overrides) error {
		return o.request(corev1.ResourceCPU, v)
	}},
	AnnotationProxyMemory: {"a positive quantity of memory, as in \"64Mi\"", func(v string, o *overrides) error {
		return o.request(corev1.ResourceMemory, v)
	}},
	AnnotationLogLevel: {"debug, info, warn or error", func(v string, o *overrides) error {
		o.logLevel = v
		if !slices.Contains([]string{"debug", "info", "warn", "error"}, v) {
			return fmt.Errorf("unknown level")
		}
		return nil
	}},
}

// parseOverrides reads the annotations of a pod. An error names the annotation, its value and what is accepted.
func parseOverrides(all map[string]string, s Settings) (o overrides, errs, warnings []string) {
	o = overrides{resources: *s.Resources.DeepCopy(), logLevel: s.LogLevel}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, annotationPrefix) || name == mesh.AnnotationInjected || name == annotationRun {
			continue
		}
		known, ok := annotations[name]
		if !ok {
			warnings = append(warnings, fmt.Sprintf("annotation %s is not known to the injector and has no effect on the sidecar: it knows %s",
				name, strings.Join(slices.Sorted(maps.Keys(annotations)), ", ")))
			continue
		}
		if err := known.read(all[name], &o); err != nil {
			errs = append(errs, fmt.Sprintf("annotation %s=%q: %v: use %s", name, all[name], err, known.accepts))
		}
	}
	return o, errs, warnings
}

func (o *overrides) request(name corev1.ResourceName, value string) error {
	q, err := resource.ParseQuantity(value)
	if err != nil {
		return fmt.Errorf("not a quantity")
	}
	if q.Sign() <= 0 {
		return fmt.Errorf("not positive")
	}
	if o.resources.Requests == nil {
		o.resources.Requests = corev1.ResourceList{}
	}
	o.resources.Requests[name] = q
	if limit, ok := o.resources.Limits[name]; ok && limit.Cmp(q) < 0 {
		return fmt.Errorf("above the limit of %s in the Mesh", limit.String())
	}
	return nil
}

// list splits at commas and normalises each item; an empty value is an empty list.
func list(value string, item func(string) (string, error)) ([]string, error) {
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	var out []string
	for part := range strings.SplitSeq(value, ",") {
		normal, err := item(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, normal)
	}
	return out, nil
}

func port(s string) (string, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%q is not a port", s)
	}
	return strconv.FormatUint(n, 10), nil
}

func cidr(s string) (string, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return "", fmt.Errorf("%q is not a CIDR", s)
	}
	return p.Masked().String(), nil
}
