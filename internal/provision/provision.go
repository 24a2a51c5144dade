// Package provision says what a Gateway runs on: the objects of the cluster that are made for it. It is a function of its arguments;
// whoever applies the objects owns the client.
package provision

import (
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
)

// gracePeriod is how long a pod may take to end, in seconds: the proxy's longest drain, and some time to be sure.
const gracePeriod = 45

// unprivilegedPorts lets a proxy without any privilege listen on the ports that its Gateway names; the kernel knows it for each network
// namespace, and Kubernetes counts it among the safe ones.
const unprivilegedPorts = "net.ipv4.ip_unprivileged_port_start"

// Object is what is made.
type Object interface {
	metav1.Object
	runtime.Object
}

// Objects are what a Gateway needs, in the order in which they are best made. All belong to the Gateway.
func Objects(g *mesh.Gateway, s inject.Settings) []Object {
	out := []Object{serviceAccount(g), deployment(g, s), disruptionBudget(g)}
	if len(g.Ports) > 0 { // a Service has at least one port; while a Gateway has none, what was made stays
		out = append(out, service(g))
	}
	return out
}

// Kinds are an empty object of each kind, with its type.
func Kinds() []Object {
	return []Object{
		&corev1.ServiceAccount{TypeMeta: typed("v1", "ServiceAccount")},
		&appsv1.Deployment{TypeMeta: typed("apps/v1", "Deployment")},
		&policyv1.PodDisruptionBudget{TypeMeta: typed("policy/v1", "PodDisruptionBudget")},
		&corev1.Service{TypeMeta: typed("v1", "Service")},
	}
}

func typed(version, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: kind}
}

// meta is the metadata that all have. What the Gateway's owner wants does not replace what makes them the Gateway's.
func meta(g *mesh.Gateway) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: g.Namespace, Name: mesh.GatewayResource(g.Name.Name),
		Labels: labels(g), Annotations: maps.Clone(g.Infrastructure.Annotations),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: gatewayv1.GroupVersion.String(), Kind: "Gateway", Name: g.Name.Name, UID: types.UID(g.Infrastructure.UID),
			Controller: new(true), BlockOwnerDeletion: new(false),
		}},
	}
}

func labels(g *mesh.Gateway) map[string]string {
	out := map[string]string{}
	maps.Copy(out, g.Infrastructure.Labels)
	maps.Copy(out, selector(g))
	out[mesh.LabelGatewayClass] = g.Infrastructure.Class
	out["app.kubernetes.io/name"] = "leno-gateway"
	out["app.kubernetes.io/managed-by"] = "leno"
	return out
}

func selector(g *mesh.Gateway) map[string]string {
	return map[string]string{mesh.LabelGatewayName: mesh.GatewayLabel(g.Name.Name)}
}

func serviceAccount(g *mesh.Gateway) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{TypeMeta: typed("v1", "ServiceAccount"), ObjectMeta: meta(g), AutomountServiceAccountToken: new(false)}
}

// deployment leaves the number of replicas to whoever sets it: nobody (one), a person or an autoscaler.
func deployment(g *mesh.Gateway, s inject.Settings) *appsv1.Deployment {
	container, volumes := inject.Gateway(s)
	pod := meta(g)
	pod.Name, pod.Namespace, pod.OwnerReferences = "", "", nil
	pod.Labels[mesh.LabelInject] = inject.Disabled
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[mesh.AnnotationGateway] = g.Name.Name
	return &appsv1.Deployment{
		TypeMeta: typed("apps/v1", "Deployment"), ObjectMeta: meta(g),
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector(g)},
			// A new proxy takes traffic before an old one stops.
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromInt32(1)),
			}},
			Template: corev1.PodTemplateSpec{ObjectMeta: pod, Spec: corev1.PodSpec{
				ServiceAccountName:            g.ServiceAccount,
				AutomountServiceAccountToken:  new(false),
				Containers:                    []corev1.Container{container},
				Volumes:                       volumes,
				TerminationGracePeriodSeconds: new(int64(gracePeriod)),
				SecurityContext:               &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: unprivilegedPorts, Value: "0"}}},
				TopologySpreadConstraints:     []corev1.TopologySpreadConstraint{spread(g, corev1.LabelTopologyZone), spread(g, corev1.LabelHostname)},
			}},
		},
	}
}

// spread keeps replicas apart where that is possible.
func spread(g *mesh.Gateway, over string) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{
		MaxSkew: 1, TopologyKey: over, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: &metav1.LabelSelector{MatchLabels: selector(g)},
	}
}

// disruptionBudget lets one proxy go at a time.
func disruptionBudget(g *mesh.Gateway) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		TypeMeta: typed("policy/v1", "PodDisruptionBudget"), ObjectMeta: meta(g),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: selector(g)},
		},
	}
}

func service(g *mesh.Gateway) *corev1.Service {
	out := &corev1.Service{
		TypeMeta: typed("v1", "Service"), ObjectMeta: meta(g),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: selector(g), IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack),
		},
	}
	if g.Infrastructure.ClusterOnly {
		out.Spec.Type = corev1.ServiceTypeClusterIP
	}
	if a := g.Infrastructure.Addresses; len(a) > 0 && !g.Infrastructure.ClusterOnly {
		// Deprecated, and still the one field that load balancers have in common.
		out.Spec.LoadBalancerIP = a[0].String()
	}
	if a := g.Infrastructure.ClusterAddresses; len(a) > 0 {
		out.Spec.ClusterIP = a[0].String() // the API server wants the first one in both fields
		for _, addr := range a {
			out.Spec.ClusterIPs = append(out.Spec.ClusterIPs, addr.String())
		}
	}
	for _, p := range g.Ports {
		protocol := corev1.ProtocolTCP
		if p.UDP {
			protocol = corev1.ProtocolUDP
		}
		out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{
			Name: portName(p), Port: int32(p.Number), TargetPort: intstr.FromInt32(int32(p.Number)), Protocol: protocol,
		})
	}
	return out
}

// portName says nothing of the protocol inside: what a name begins with would be taken for a declaration.
func portName(p mesh.GatewayPort) string {
	if p.UDP {
		return "port-" + strconv.Itoa(int(p.Number)) + "-udp"
	}
	return fmt.Sprintf("port-%d", p.Number)
}
