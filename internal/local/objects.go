package local

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// Phase is how far a pod is.
type Phase int

// The phases of a pod.
const (
	Starting Phase = iota
	Ready
	Terminating // still serves, gets no new requests
)

// Running is a pod that was started; its plan may be older than the current one.
type Running struct {
	Pod   *Pod
	Phase Phase
}

// Objects is the cluster as its API server would show it while these pods run, in the order of kinds and names.
func (p *Plan) Objects(running []Running) []snapshot.Object {
	running = slices.Clone(running)
	slices.SortFunc(running, func(a, b Running) int { return compareNames(a.Pod.Name, b.Pod.Name) })
	out := []snapshot.Object{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: NodeName}}}
	for _, namespace := range p.namespaces {
		out = append(out, namespace)
	}
	out = append(out, p.rest...)
	for _, s := range p.Services {
		out = append(out, s.withAddress())
		out = append(out, s.slices(running)...)
	}
	for _, g := range p.Gateways {
		out = append(out, g.objects(running)...)
	}
	for _, r := range running {
		out = append(out, r.object())
	}
	return out
}

func (s *Service) withAddress() *corev1.Service {
	obj := s.object.DeepCopy()
	if s.IP.IsValid() {
		obj.Spec.ClusterIP, obj.Spec.ClusterIPs = s.IP.String(), []string{s.IP.String()}
	}
	return obj
}

// object is the pod as the kubelet would report it.
func (r Running) object() *corev1.Pod {
	p := r.Pod
	ready := corev1.ConditionFalse
	if r.Phase != Starting {
		ready = corev1.ConditionTrue
	}
	obj := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name.Name, UID: types.UID(uidOf(p)), Labels: p.Labels,
			Annotations: merged(p.template.Annotations, map[string]string{mesh.AnnotationInjected: "native"}),
		},
		Spec: *p.template.Spec.DeepCopy(),
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: p.IP.String(), PodIPs: []corev1.PodIP{{IP: p.IP.String()}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
		},
	}
	if p.Owner != "" {
		controller := true
		// The name of a Deployment's ReplicaSet ends in the hash that the pod's name has before its number.
		obj.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: p.Owner + "-" + templateHash(p.template), Controller: &controller,
		}}
		obj.Labels = merged(p.Labels, map[string]string{"pod-template-hash": templateHash(p.template)})
	}
	obj.Spec.NodeName, obj.Spec.ServiceAccountName = NodeName, p.ServiceAccount
	always := corev1.ContainerRestartPolicyAlways
	obj.Spec.InitContainers = append(obj.Spec.InitContainers, corev1.Container{Name: mesh.ProxyContainer, RestartPolicy: &always})
	return obj
}

func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, some := range all {
		maps.Copy(out, some)
	}
	return out
}

// slices is one EndpointSlice per set of target ports, as pods may give one port name different numbers.
func (s *Service) slices(running []Running) []snapshot.Object {
	bySet := map[string]*discoveryv1.EndpointSlice{}
	for _, r := range running {
		if !s.Selects(r.Pod) {
			continue
		}
		ports := s.endpointPorts(r.Pod)
		key := fmt.Sprint(portNumbers(ports))
		slice := bySet[key]
		if slice == nil {
			slice = &discoveryv1.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: s.Namespace,
					Labels:    map[string]string{discoveryv1.LabelServiceName: s.Name.Name, discoveryv1.LabelManagedBy: "leno-run"},
				},
				AddressType: discoveryv1.AddressTypeIPv4, Ports: ports,
			}
			bySet[key] = slice
		}
		slice.Endpoints = append(slice.Endpoints, r.endpoint())
	}
	var out []snapshot.Object
	for i, key := range slices.Sorted(maps.Keys(bySet)) {
		bySet[key].Name = fmt.Sprintf("%s-%d", s.Name.Name, i)
		out = append(out, bySet[key])
	}
	return out
}

func (s *Service) endpointPorts(p *Pod) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for _, port := range s.object.Spec.Ports {
		if target, found := targetPort(port, p); found {
			number, tcp := int32(target), corev1.ProtocolTCP
			ports = append(ports, discoveryv1.EndpointPort{Name: &port.Name, Port: &number, Protocol: &tcp, AppProtocol: port.AppProtocol})
		}
	}
	return ports
}

func portNumbers(ports []discoveryv1.EndpointPort) []int32 {
	var numbers []int32
	for _, port := range ports {
		numbers = append(numbers, *port.Port)
	}
	return numbers
}

func (r Running) endpoint() discoveryv1.Endpoint {
	ready, serving, terminating := r.Phase == Ready, r.Phase != Starting, r.Phase == Terminating
	node := NodeName
	return discoveryv1.Endpoint{
		Addresses:  []string{r.Pod.IP.String()},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		NodeName:   &node,
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: r.Pod.Namespace, Name: r.Pod.Name.Name, UID: types.UID(uidOf(r.Pod))},
	}
}

// Diff is what a watch would tell of the way from one set of objects to another: deletions, then upserts.
func Diff(before, after []snapshot.Object) []snapshot.Event {
	refs := map[snapshot.Ref]snapshot.Object{}
	for _, obj := range after {
		refs[snapshot.Upsert(obj).Ref] = obj
	}
	var events []snapshot.Event
	known := map[snapshot.Ref]snapshot.Object{}
	for _, obj := range before {
		ref := snapshot.Upsert(obj).Ref
		known[ref] = obj
		if refs[ref] == nil {
			events = append(events, snapshot.Delete(ref.Kind, ref.Name))
		}
	}
	for _, obj := range after {
		event := snapshot.Upsert(obj)
		if !reflect.DeepEqual(known[event.Ref], obj) {
			events = append(events, event)
		}
	}
	return events
}
