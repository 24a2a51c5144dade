package graph

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leno-mesh/leno/internal/mesh"
)

// selectorIndex finds the Services that select a pod without asking each: a Service is filed under the one pair of its
// selector that it shares with the fewest others, and a pod asks only for its own pairs.
type selectorIndex struct {
	services map[labelPair][]*corev1.Service
}

// labelPair is one label in one namespace.
type labelPair struct{ namespace, key, value string }

// selectorsOf files the Services of some namespaces; of all, if namespaces is nil.
func selectorsOf(services map[mesh.Name]*corev1.Service, namespaces map[string]bool) *selectorIndex {
	users := map[labelPair]int{}
	for name, svc := range services {
		if namespaces != nil && !namespaces[name.Namespace] {
			continue
		}
		for key, value := range svc.Spec.Selector {
			users[labelPair{svc.Namespace, key, value}]++
		}
	}
	index := &selectorIndex{services: map[labelPair][]*corev1.Service{}}
	for name, svc := range services {
		if namespaces != nil && !namespaces[name.Namespace] {
			continue
		}
		var rarest labelPair
		for key, value := range svc.Spec.Selector {
			pair := labelPair{svc.Namespace, key, value}
			order := cmp.Or(cmp.Compare(users[pair], users[rarest]), cmp.Compare(pair.key, rarest.key))
			if rarest == (labelPair{}) || order < 0 {
				rarest = pair
			}
		}
		if rarest != (labelPair{}) {
			index.services[rarest] = append(index.services[rarest], svc)
		}
	}
	return index
}

// protocols is what the Services that select the pod declare about the pod's own ports. Where two of them disagree nothing
// is declared, and the proxy looks for itself.
func (x *selectorIndex) protocols(pod *corev1.Pod) map[uint16]mesh.Protocol {
	var out map[uint16]mesh.Protocol
	for key, value := range pod.Labels {
		for _, svc := range x.services[labelPair{pod.Namespace, key, value}] {
			if !selects(svc.Spec.Selector, pod.Labels) {
				continue
			}
			for _, port := range svc.Spec.Ports {
				declared, target := protocolOf(port), targetPort(port, pod)
				if declared == mesh.ProtocolUndeclared || target == 0 || !isTCP(port.Protocol) {
					continue
				}
				if out == nil {
					out = map[uint16]mesh.Protocol{}
				}
				if other, said := out[target]; said && other != declared {
					declared = mesh.ProtocolUndeclared
				}
				out[target] = declared
			}
		}
	}
	maps.DeleteFunc(out, func(_ uint16, p mesh.Protocol) bool { return p == mesh.ProtocolUndeclared })
	return out
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// targetPort is the pod's port behind a Service port; 0 if the pod has no port of the name that the Service asks for.
func targetPort(port corev1.ServicePort, pod *corev1.Pod) uint16 {
	number := port.TargetPort.IntVal
	switch {
	case port.TargetPort.Type == intstr.String:
		number = namedPort(port.TargetPort.StrVal, pod)
	case number == 0:
		number = port.Port
	}
	if number < 1 || number > 65535 {
		return 0
	}
	return uint16(number)
}

func namedPort(name string, pod *corev1.Pod) int32 {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name && isTCP(p.Protocol) {
				return p.ContainerPort
			}
		}
	}
	for _, c := range pod.Spec.InitContainers {
		for _, p := range c.Ports {
			if p.Name == name && isTCP(p.Protocol) {
				return p.ContainerPort
			}
		}
	}
	return 0
}
