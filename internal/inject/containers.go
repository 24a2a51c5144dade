package inject

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Names of the volumes that come with the sidecar.
const (
	volumeTrust = "leno-trust"
	volumeToken = "leno-token"
	volumeCache = "leno-cache"
)

// tokenSeconds is the lifetime of the service-account token; the kubelet renews it at 80 %.
const tokenSeconds = 3600

// cacheLimit bounds the last good configuration on disk, which holds only what the pod dials.
const cacheLimit = "64Mi"

// initContainer redirects the pod's traffic. It runs as root because netlink asks for NET_ADMIN in the effective set,
// which only root gets from a container runtime.
func initContainer(s Settings, o overrides) corev1.Container {
	args := []string{"init"}
	for _, x := range []struct {
		flag   string
		values []string
	}{
		{"exclude-outbound-ports", o.excludeOutboundPorts},
		{"exclude-inbound-ports", o.excludeInboundPorts},
		{"exclude-outbound-cidrs", o.excludeOutboundCIDRs},
	} {
		if len(x.values) > 0 {
			args = append(args, "--"+x.flag+"="+strings.Join(x.values, ","))
		}
	}
	security := restricted(0)
	security.RunAsNonRoot = new(false)
	security.Capabilities.Add = []corev1.Capability{"NET_ADMIN", "NET_RAW"}
	return corev1.Container{
		Name:            mesh.InitContainer,
		Image:           s.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            args,
		Resources:       *o.resources.DeepCopy(),
		SecurityContext: security,
	}
}

// proxyContainer is the sidecar as a native one, without its restart policy.
func proxyContainer(s Settings, o overrides, probes string) corev1.Container {
	security := restricted(mesh.ProxyUID)
	security.RunAsNonRoot = new(true)
	return corev1.Container{
		Name:            mesh.ProxyContainer,
		Image:           s.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            []string{"sidecar"},
		Env:             environment(s, o, probes),
		Ports:           []corev1.ContainerPort{{Name: "leno-metrics", ContainerPort: mesh.PortHealth, Protocol: corev1.ProtocolTCP}},
		Resources:       *o.resources.DeepCopy(),
		SecurityContext: security,
		// Ten minutes of waiting for the control plane before the kubelet starts over.
		StartupProbe:   ownProbe("/ready", 1, 600),
		ReadinessProbe: ownProbe("/ready", 5, 3),
		LivenessProbe:  ownProbe("/live", 10, 6),
		VolumeMounts: []corev1.VolumeMount{
			{Name: volumeTrust, MountPath: mesh.TrustDir, ReadOnly: true},
			{Name: volumeToken, MountPath: mesh.TokenDir, ReadOnly: true},
			{Name: volumeCache, MountPath: mesh.CacheDir},
		},
	}
}

func environment(s Settings, o overrides, probes string) []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
		}}
	}
	env := []corev1.EnvVar{
		field(mesh.EnvPodName, "metadata.name"),
		field(mesh.EnvPodNamespace, "metadata.namespace"),
		field(mesh.EnvPodIPs, "status.podIPs"),
		field(mesh.EnvNodeName, "spec.nodeName"),
		field(mesh.EnvServiceAccount, "spec.serviceAccountName"),
		{Name: mesh.EnvTrustDomain, Value: s.TrustDomain},
		{Name: mesh.EnvManager, Value: fmt.Sprintf("%s:%d", mesh.ManagerServerName, mesh.ManagerPort)},
		{Name: mesh.EnvLogLevel, Value: o.logLevel},
	}
	if probes != "" {
		env = append(env, corev1.EnvVar{Name: mesh.EnvProbes, Value: probes})
	}
	return env
}

// restricted is the strictest security context, for a user and group of one id.
func restricted(id int64) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsUser:                new(id),
		RunAsGroup:               new(id),
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func ownProbe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt32(mesh.PortHealth), Scheme: corev1.URISchemeHTTP,
		}},
		TimeoutSeconds:   3,
		PeriodSeconds:    period,
		SuccessThreshold: 1,
		FailureThreshold: failures,
	}
}

func volumes() []corev1.Volume {
	return []corev1.Volume{
		{Name: volumeTrust, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: mesh.TrustBundleName},
			DefaultMode:          new(int32(0o644)),
			Optional:             new(false),
		}}},
		{Name: volumeToken, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: new(int32(0o644)),
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: mesh.TokenAud, ExpirationSeconds: new(int64(tokenSeconds)), Path: "token",
			}}},
		}}},
		{Name: volumeCache, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			SizeLimit: new(resource.MustParse(cacheLimit)),
		}}},
	}
}
