package inject

import (
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Modes of the sidecar, the value of the annotation mesh.leno.dev/injected.
const (
	ModeNative  = "native"
	ModeClassic = "classic"
)

// Apply puts a sidecar into a copy of the pod. Applied to a pod that has one it gives the same pod again, with
// containers and probes that came in between taken in. The error is that of a bad annotation.
//
// When somebody removed restartPolicy from a sidecar that was injected as a native one (an admission webhook built
// against an old API does that), the pod gets a classic container instead: such a pod would wait for ever.
func Apply(pod *corev1.Pod, s Settings) (*corev1.Pod, error) {
	o, errs, _ := parseOverrides(pod.Annotations, s)
	if len(errs) > 0 {
		return nil, Decision{Errors: errs}.Err()
	}
	mode := ModeNative
	if s.Classic || wasClassic(pod) {
		mode = ModeClassic
	}
	out := Remove(pod)
	probes, err := takeProbes(out)
	if err != nil {
		return nil, fmt.Errorf("probes of pod %s: %w", pod.Name, err)
	}
	proxy := proxyContainer(s, o, probes)
	first := []corev1.Container{initContainer(s, o)}
	if mode == ModeNative {
		always := corev1.ContainerRestartPolicyAlways
		proxy.RestartPolicy = &always
		first = append(first, proxy)
	} else {
		proxy.StartupProbe = nil
		out.Spec.Containers = append(out.Spec.Containers, proxy)
	}
	out.Spec.InitContainers = append(first, out.Spec.InitContainers...)
	out.Spec.Volumes = append(out.Spec.Volumes, volumes()...)
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	out.Annotations[mesh.AnnotationInjected] = mode
	return out, nil
}

// Remove takes a sidecar out of a copy of the pod and gives the probes back. A pod without one comes back as it is.
func Remove(pod *corev1.Pod) *corev1.Pod {
	out := pod.DeepCopy()
	if !Injected(pod) {
		return out
	}
	if proxy := find(out, mesh.ProxyContainer); proxy != nil {
		giveProbesBack(out, proxy.Env)
	}
	ours := func(c corev1.Container) bool { return c.Name == mesh.ProxyContainer || c.Name == mesh.InitContainer }
	out.Spec.InitContainers = slices.DeleteFunc(out.Spec.InitContainers, ours)
	out.Spec.Containers = slices.DeleteFunc(out.Spec.Containers, ours)
	names := map[string]bool{}
	for _, v := range volumes() {
		names[v.Name] = true
	}
	out.Spec.Volumes = slices.DeleteFunc(out.Spec.Volumes, func(v corev1.Volume) bool { return names[v.Name] })
	if len(out.Spec.InitContainers) == 0 {
		out.Spec.InitContainers = nil
	}
	if len(out.Spec.Volumes) == 0 {
		out.Spec.Volumes = nil
	}
	delete(out.Annotations, mesh.AnnotationInjected)
	if len(out.Annotations) == 0 {
		out.Annotations = nil
	}
	return out
}

// Injected tells whether the pod has a sidecar that the injector made.
func Injected(pod *corev1.Pod) bool {
	return pod.Annotations[mesh.AnnotationInjected] != "" && find(pod, mesh.ProxyContainer) != nil
}

// wasClassic tells whether a sidecar that is there already is, or can only be, an ordinary container.
func wasClassic(pod *corev1.Pod) bool {
	if !Injected(pod) {
		return false
	}
	proxy := find(pod, mesh.ProxyContainer)
	return proxy.RestartPolicy == nil || *proxy.RestartPolicy != corev1.ContainerRestartPolicyAlways
}

func find(pod *corev1.Pod, name string) *corev1.Container {
	for c := range containers(pod) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// containers are the init containers, then the others.
func containers(pod *corev1.Pod) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}
