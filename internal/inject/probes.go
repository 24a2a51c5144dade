package inject

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leno-mesh/leno/internal/mesh"
)

// slot is one probe of one container, to be read or replaced.
type slot struct {
	kind  mesh.ProbeKind
	probe *corev1.Probe
}

func slots(c *corev1.Container) []slot {
	return []slot{
		{mesh.ProbeReadiness, c.ReadinessProbe},
		{mesh.ProbeLiveness, c.LivenessProbe},
		{mesh.ProbeStartup, c.StartupProbe},
	}
}

// takeProbes makes the kubelet ask the sidecar instead of the containers, and returns what the sidecar must know for
// that, as JSON; "" when there is nothing. Probes that run a command stay as they are, and so do those whose port
// has a name that no port of the container has, and those that name a host: the kubelet fails the former itself, and
// the latter may not be about this pod.
func takeProbes(pod *corev1.Pod) (string, error) {
	var taken []mesh.Probe
	for c := range containers(pod) {
		for _, s := range slots(c) {
			p, ok := describe(c, s)
			if !ok {
				continue
			}
			taken = append(taken, p)
			s.probe.ProbeHandler = corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Path:   mesh.ProbePath(c.Name, s.kind),
				Port:   intstr.FromInt32(mesh.PortHealth),
				Scheme: corev1.URISchemeHTTP,
			}}
		}
	}
	if len(taken) == 0 {
		return "", nil
	}
	text, err := json.Marshal(taken)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	return string(text), nil
}

// describe turns a probe into what the sidecar needs; false when the probe stays as it is.
func describe(c *corev1.Container, s slot) (mesh.Probe, bool) {
	if s.probe == nil {
		return mesh.Probe{}, false
	}
	out := mesh.Probe{Container: c.Name, Kind: s.kind, TimeoutSeconds: s.probe.TimeoutSeconds}
	switch h := s.probe.ProbeHandler; {
	case h.HTTPGet != nil && h.HTTPGet.Host == "":
		number, name, ok := resolve(c, h.HTTPGet.Port)
		if !ok {
			return mesh.Probe{}, false
		}
		out.HTTP = &mesh.HTTPProbe{Scheme: string(h.HTTPGet.Scheme), Port: number, PortName: name, Path: h.HTTPGet.Path}
		for _, f := range h.HTTPGet.HTTPHeaders {
			out.HTTP.Headers = append(out.HTTP.Headers, mesh.ProbeHeader{Name: f.Name, Value: f.Value})
		}
	case h.TCPSocket != nil && h.TCPSocket.Host == "":
		number, name, ok := resolve(c, h.TCPSocket.Port)
		if !ok {
			return mesh.Probe{}, false
		}
		out.TCP = &mesh.TCPProbe{Port: number, PortName: name}
	case h.GRPC != nil && h.GRPC.Port > 0 && h.GRPC.Port <= 65535:
		out.GRPC = &mesh.GRPCProbe{Port: uint16(h.GRPC.Port), Service: h.GRPC.Service}
	default:
		return mesh.Probe{}, false
	}
	return out, true
}

// resolve finds the number of a probe's port; name is empty when it was a number already.
func resolve(c *corev1.Container, port intstr.IntOrString) (number uint16, name string, ok bool) {
	if port.Type == intstr.Int {
		return uint16(port.IntVal), "", port.IntVal > 0 && port.IntVal <= 65535
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return uint16(p.ContainerPort), p.Name, p.ContainerPort > 0 && p.ContainerPort <= 65535
		}
	}
	return 0, "", false
}

// giveProbesBack undoes takeProbes from the environment of the sidecar. What cannot be read is left alone: the probe
// then keeps asking the sidecar.
func giveProbesBack(pod *corev1.Pod, env []corev1.EnvVar) {
	originals := map[string]mesh.Probe{}
	for _, e := range env {
		var list []mesh.Probe
		if e.Name != mesh.EnvProbes || json.Unmarshal([]byte(e.Value), &list) != nil {
			continue
		}
		for _, p := range list {
			originals[mesh.ProbePath(p.Container, p.Kind)] = p
		}
	}
	for c := range containers(pod) {
		for _, s := range slots(c) {
			if s.probe == nil || s.probe.HTTPGet == nil || s.probe.HTTPGet.Port.IntVal != mesh.PortHealth {
				continue
			}
			if original, ok := originals[s.probe.HTTPGet.Path]; ok {
				s.probe.ProbeHandler = restore(original)
			}
		}
	}
}

func restore(p mesh.Probe) corev1.ProbeHandler {
	number := func(n uint16, name string) intstr.IntOrString {
		if name != "" {
			return intstr.FromString(name)
		}
		return intstr.FromInt32(int32(n))
	}
	switch {
	case p.HTTP != nil:
		get := &corev1.HTTPGetAction{Scheme: corev1.URIScheme(p.HTTP.Scheme), Path: p.HTTP.Path, Port: number(p.HTTP.Port, p.HTTP.PortName)}
		for _, f := range p.HTTP.Headers {
			get.HTTPHeaders = append(get.HTTPHeaders, corev1.HTTPHeader{Name: f.Name, Value: f.Value})
		}
		return corev1.ProbeHandler{HTTPGet: get}
	case p.TCP != nil:
		return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: number(p.TCP.Port, p.TCP.PortName)}}
	case p.GRPC != nil:
		return corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(p.GRPC.Port), Service: p.GRPC.Service}}
	default:
		return corev1.ProbeHandler{}
	}
}

// probeWarnings names the probes that keep asking the container although they go over the network.
func probeWarnings(pod *corev1.Pod) []string {
	var out []string
	for c := range containers(pod) {
		for _, s := range slots(c) {
			if s.probe == nil || s.probe.Exec != nil {
				continue
			}
			if _, ok := describe(c, s); !ok {
				out = append(out, fmt.Sprintf("the %s probe of container %s stays as it is, because it names a host or a port that the container does not have: under strict mTLS it will fail",
					s.kind, c.Name))
			}
		}
	}
	return out
}
