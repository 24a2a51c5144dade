package graph

import (
	"cmp"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// proxyContainer is the name that injection gives to the sidecar.
const proxyContainer = "leno-proxy"

// labelPodTemplateHash is what a Deployment appends to its name to make that of its ReplicaSet.
const labelPodTemplateHash = "pod-template-hash"

// workloadsOf reads the pods that have an address of their own.
func workloadsOf(s *snapshot.Snapshot, trustDomain string) map[mesh.Name]*mesh.Workload {
	selectors := selectorsOf(s.Services, nil)
	out := make(map[mesh.Name]*mesh.Workload, len(s.Pods))
	for name, pod := range s.Pods {
		if w := workloadOf(name, pod, s.Nodes, trustDomain, selectors); w != nil {
			out[name] = w
		}
	}
	return out
}

// workloadOf is nil for pods that have no address yet, that are finished and gave it back, or that use their node's.
func workloadOf(
	name mesh.Name, pod *corev1.Pod, nodes map[mesh.Name]*corev1.Node, trustDomain string, selectors *selectorIndex,
) *mesh.Workload {
	addrs := podAddresses(pod)
	if len(addrs) == 0 || pod.Spec.HostNetwork || finished(pod) {
		return nil
	}
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	owner, ownerKind := ownerOf(pod)
	id := identity.ID{TrustDomain: trustDomain, Namespace: name.Namespace, ServiceAccount: account}
	return &mesh.Workload{
		Name:           name,
		Origin:         mesh.Origin{Kind: "Pod", Namespace: name.Namespace, Name: name.Name, Generation: pod.Generation},
		Addresses:      addrs,
		ServiceAccount: account,
		Identity:       id.String(),
		Injected:       injected(pod),
		Gateway:        gatewayOfPod(pod, account),
		Owner:          owner,
		OwnerKind:      ownerKind,
		Node:           pod.Spec.NodeName,
		Zone:           zoneOf(nodes, pod.Spec.NodeName),
		Protocols:      selectors.protocols(pod),
	}
}

func podAddresses(pod *corev1.Pod) []netip.Addr {
	texts := []string{pod.Status.PodIP}
	for _, ip := range pod.Status.PodIPs {
		texts = append(texts, ip.IP)
	}
	return addresses(texts)
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// injected tells whether the pod has a sidecar, native (an init container) or classic.
func injected(pod *corev1.Pod) bool {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == proxyContainer {
			return true
		}
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == proxyContainer {
			return true
		}
	}
	return false
}

// gatewayOfPod is the Gateway whose proxy a pod is. The service account is the proof: what it may do is what counts.
func gatewayOfPod(pod *corev1.Pod, account string) mesh.Name {
	gateway := cmp.Or(pod.Annotations[mesh.AnnotationGateway], pod.Labels[mesh.LabelGatewayName])
	if gateway == "" || account != mesh.GatewayServiceAccount(gateway) {
		return mesh.Name{}
	}
	return mesh.Name{Namespace: pod.Namespace, Name: gateway}
}

// ownerOf is the workload as people know it: its controller, where a ReplicaSet that a Deployment made stands for that
// Deployment; else the pod itself.
func ownerOf(pod *corev1.Pod) (name, kind string) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return pod.Name, "Pod"
	}
	if hash := pod.Labels[labelPodTemplateHash]; ref.Kind == "ReplicaSet" && hash != "" {
		if deployment, ok := strings.CutSuffix(ref.Name, "-"+hash); ok {
			return deployment, "Deployment"
		}
	}
	return ref.Name, ref.Kind
}

func zoneOf(nodes map[mesh.Name]*corev1.Node, name string) string {
	if node := nodes[mesh.Name{Name: name}]; node != nil {
		return node.Labels[corev1.LabelTopologyZone]
	}
	return ""
}

// addressesOf finds the pod that owns an address. A pod that was just made may have the address of one whose end was not
// told yet: the younger one has it.
func addressesOf(workloads map[mesh.Name]*mesh.Workload, pods map[mesh.Name]*corev1.Pod) map[netip.Addr]mesh.Name {
	out := make(map[netip.Addr]mesh.Name, len(workloads))
	for name, w := range workloads {
		for _, addr := range w.Addresses {
			if other, taken := out[addr]; !taken || younger(pods[name], pods[other]) {
				out[addr] = name
			}
		}
	}
	return out
}

// younger orders pods of different names strictly, so that the order of visits does not matter.
func younger(a, b *corev1.Pod) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return b.CreationTimestamp.Before(&a.CreationTimestamp)
	}
	return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}
