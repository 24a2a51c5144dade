package graph

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// endpoints is what endpoints are made from.
type endpoints struct {
	snapshot  *snapshot.Snapshot
	workloads map[mesh.Name]*mesh.Workload
	byIP      map[netip.Addr]mesh.Name
}

// all finds the endpoints of each port of each Service. Ports without endpoints are not in the map.
func (e *endpoints) all(services map[mesh.Name]*mesh.Service) map[mesh.ServicePort][]mesh.Endpoint {
	out := make(map[mesh.ServicePort][]mesh.Endpoint, len(services))
	for name, svc := range services {
		for _, port := range svc.Ports {
			if list := e.of(svc, port); len(list) > 0 {
				out[mesh.ServicePort{Name: name, Port: port.Number, UDP: port.UDP}] = list
			}
		}
	}
	return out
}

// of reads the slices of a Service for one port, in the order of addresses. Slices find their port by its name. The same
// address may be in two slices while the cluster moves it from one to the other; the better news counts.
func (e *endpoints) of(svc *mesh.Service, port mesh.Port) []mesh.Endpoint {
	var out []mesh.Endpoint
	for _, slice := range e.snapshot.SlicesOf(svc.Name) {
		number := slicePort(slice, port.Name, port.UDP)
		if number == 0 || slice.AddressType != discoveryv1.AddressTypeIPv4 && slice.AddressType != discoveryv1.AddressTypeIPv6 {
			continue
		}
		for i := range slice.Endpoints {
			for _, text := range slice.Endpoints[i].Addresses {
				if endpoint, ok := e.one(&slice.Endpoints[i], slice.Namespace, text, number); ok {
					out = append(out, endpoint)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b mesh.Endpoint) int {
		if order := a.Address.Compare(b.Address); order != 0 {
			return order
		}
		return health(b) - health(a)
	})
	return slices.CompactFunc(out, func(a, b mesh.Endpoint) bool { return a.Address == b.Address })
}

func health(e mesh.Endpoint) int {
	switch {
	case e.Ready:
		return 2
	case e.Serving:
		return 1
	}
	return 0
}

// slicePort is the number behind a port name; 0 if the slice has no such port.
func slicePort(slice *discoveryv1.EndpointSlice, name string, udp bool) uint16 {
	for _, p := range slice.Ports {
		given := ""
		if p.Name != nil {
			given = *p.Name
		}
		if given != name || p.Port == nil || *p.Port < 1 || *p.Port > 65535 {
			continue
		}
		if protocol := corev1.Protocol(deref(p.Protocol)); udp != (protocol == corev1.ProtocolUDP) || !udp && !isTCP(protocol) {
			continue
		}
		return uint16(*p.Port)
	}
	return 0
}

// one is false for what cannot be spoken to: no address, or a pod that is not known under that address.
func (e *endpoints) one(in *discoveryv1.Endpoint, namespace, text string, port uint16) (mesh.Endpoint, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return mesh.Endpoint{}, false
	}
	addr = addr.Unmap()
	workload, known := e.workload(in, namespace, addr)
	if !known {
		return mesh.Endpoint{}, false
	}
	ready, terminating := orTrue(in.Conditions.Ready), in.Conditions.Terminating
	out := mesh.Endpoint{
		Address:     netip.AddrPortFrom(addr, port),
		Ready:       ready,
		Serving:     ready,
		Terminating: terminating != nil && *terminating,
	}
	if in.Conditions.Serving != nil {
		out.Serving = *in.Conditions.Serving
	}
	if workload != nil {
		out.Workload = workload.Name
		out.Zone = workload.Zone
		if workload.Injected {
			out.Identity = workload.Identity
		}
	}
	if in.Zone != nil && *in.Zone != "" {
		out.Zone = *in.Zone
	}
	return out, true
}

// workload is the pod behind an address: nil for addresses of no pod and of pods that use their node's. It is not known when
// the endpoint names a pod that nobody told of (yet) under that address: news of pods and of slices come separately, and to
// guess whether such a pod has a sidecar could mean plain text where there must be none.
func (e *endpoints) workload(in *discoveryv1.Endpoint, namespace string, addr netip.Addr) (w *mesh.Workload, known bool) {
	if in.TargetRef == nil || in.TargetRef.Kind != "Pod" {
		return e.workloads[e.byIP[addr]], true
	}
	name := mesh.Name{Namespace: namespace, Name: in.TargetRef.Name}
	if w := e.workloads[name]; w != nil {
		return w, slices.Contains(w.Addresses, addr)
	}
	pod := e.snapshot.Pods[name]
	return nil, pod != nil && pod.Spec.HostNetwork && slices.Contains(podAddresses(pod), addr)
}

// orTrue reads a condition of an endpoint: unknown means true (EndpointConditions).
func orTrue(b *bool) bool { return b == nil || *b }
