package provision

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
)

// gracePeriod is how long a pod may take to end, in seconds: the proxy's longest drain, and some time to be sure.
const gracePeriod = 45

// unprivilegedPorts lets a proxy without any privilege listen on the ports that its Gateway names; the kernel knows it for each network
// namespace, and Kubernetes counts it among the safe ones.
const unprivilegedPorts = "net.ipv4.ip_unprivileged_port_start"

// What a proxy requests where GatewayParameters say nothing: more than a sidecar, as it serves many.
const (
	requestCPU    = "100m"
	requestMemory = "64Mi"
)

// deployment runs the proxies. Its pods do not depend on the Gateway's listeners: those come and go without a restart. They do depend
// on the labels and annotations of spec.infrastructure, as the Gateway API asks for: changing those replaces the pods.
func deployment(g *mesh.Gateway, s inject.Settings, autoscaled bool) *appsv1.Deployment {
	d := &appsv1.Deployment{
		TypeMeta: typeDeployment, ObjectMeta: meta(g),
		Spec: appsv1.DeploymentSpec{
			// Nobody can change it later. It need not tell whose pods they are: a Deployment takes those of its own ReplicaSets.
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{mesh.LabelGatewayName: mesh.GatewayLabel(g.Name.Name)}},
			// A new proxy takes traffic before an old one stops.
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromString("25%")),
			}},
			Template: corev1.PodTemplateSpec{ObjectMeta: podMeta(g), Spec: podSpec(g, s)},
		},
	}
	// Left out, the number is that of whoever sets it: nobody (one), a person or an autoscaler.
	if n := g.Infrastructure.Parameters.Replicas; n != nil && !autoscaled {
		d.Spec.Replicas = new(*n)
	}
	return d
}

func podMeta(g *mesh.Gateway) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Labels: labels(g, nil), Annotations: map[string]string{}}
	maps.Copy(out.Annotations, g.Infrastructure.Annotations)
	out.Labels[mesh.LabelInject] = inject.Disabled // it is a proxy itself
	out.Annotations[mesh.AnnotationGateway] = g.Name.Name
	return out
}

func podSpec(g *mesh.Gateway, s inject.Settings) corev1.PodSpec {
	p := g.Infrastructure.Parameters
	s.Resources = resources(p.Resources)
	container, volumes := inject.Gateway(s)
	return corev1.PodSpec{
		ServiceAccountName:            g.ServiceAccount,
		AutomountServiceAccountToken:  new(false),
		Containers:                    []corev1.Container{container},
		Volumes:                       volumes,
		TerminationGracePeriodSeconds: new(int64(gracePeriod)),
		SecurityContext:               &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: unprivilegedPorts, Value: "0"}}},
		TopologySpreadConstraints:     []corev1.TopologySpreadConstraint{spread(g, corev1.LabelTopologyZone), spread(g, corev1.LabelHostname)},
		NodeSelector:                  maps.Clone(p.NodeSelector),
		Tolerations:                   tolerations(p.Tolerations),
	}
}

func resources(r *mesh.Resources) corev1.ResourceRequirements {
	if r == nil {
		r = &mesh.Resources{Requests: map[string]string{string(corev1.ResourceCPU): requestCPU, string(corev1.ResourceMemory): requestMemory}}
	}
	return corev1.ResourceRequirements{Requests: quantities(r.Requests), Limits: quantities(r.Limits)}
}

// quantities reads amounts, which are in canonical form.
func quantities(amounts map[string]string) corev1.ResourceList {
	if len(amounts) == 0 {
		return nil
	}
	out := make(corev1.ResourceList, len(amounts))
	for name, amount := range amounts {
		out[corev1.ResourceName(name)] = resource.MustParse(amount)
	}
	return out
}

func tolerations(all []mesh.Toleration) []corev1.Toleration {
	var out []corev1.Toleration
	for _, t := range all {
		out = append(out, corev1.Toleration{
			Key: t.Key, Operator: corev1.TolerationOperator(t.Operator), Value: t.Value, Effect: corev1.TaintEffect(t.Effect), TolerationSeconds: t.Seconds,
		})
	}
	return out
}

// spread puts proxies into different zones, and there on different nodes, where that is possible. The pods of each version of the
// Deployment are spread by themselves, else a rollout would leave them lopsided.
func spread(g *mesh.Gateway, over string) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{
		MaxSkew: 1, TopologyKey: over, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: &metav1.LabelSelector{MatchLabels: selector(g)},
		MatchLabelKeys: []string{appsv1.DefaultDeploymentUniqueLabelKey},
	}
}

// disruptionBudget lets one proxy go at a time, unless parameters know better. A node with the only proxy on it can be drained.
func disruptionBudget(g *mesh.Gateway) *policyv1.PodDisruptionBudget {
	out := &policyv1.PodDisruptionBudget{
		TypeMeta: typeDisruptionBudget, ObjectMeta: meta(g),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: selector(g)},
			// A proxy that does not work is no reason to keep a node.
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
	if least := g.Infrastructure.Parameters.MinAvailable; least != "" {
		out.Spec.MinAvailable, out.Spec.MaxUnavailable = new(intstr.Parse(least)), nil
	}
	return out
}
