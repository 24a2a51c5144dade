package xds

import (
	"cmp"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Endpoints is the load assignment of a cluster, grouped by zone; nil when the mesh has no such cluster. A known Service
// without endpoints has an empty assignment.
func Endpoints(m *mesh.Mesh, name string) *endpointv3.ClusterLoadAssignment {
	list, ok := usable(m, name)
	if !ok {
		return nil
	}
	slices.SortFunc(list, func(a, b mesh.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), a.Address.Compare(b.Address))
	})
	cla := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	var group *endpointv3.LocalityLbEndpoints
	for i, e := range list {
		if i == 0 || e.Zone != list[i-1].Zone {
			group = &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Zone: e.Zone}}
			cla.Endpoints = append(cla.Endpoints, group)
		}
		group.LbEndpoints = append(group.LbEndpoints, lbEndpoint(m, e))
	}
	for _, g := range cla.Endpoints {
		// Each endpoint counts the same, wherever it stands.
		g.LoadBalancingWeight = wrapperspb.UInt32(uint32(len(g.LbEndpoints)))
	}
	return cla
}

// usable lists the endpoints of a cluster that may get new requests: the ready ones, or, when nothing is ready, those
// that are terminating and still serve. The slice is the caller's.
func usable(m *mesh.Mesh, cluster string) ([]mesh.Endpoint, bool) {
	if pod, ok := parsePodCluster(cluster); ok {
		return podEndpoint(m, pod)
	}
	sp, ok := parseCluster(cluster)
	if !ok {
		return nil, false
	}
	if _, port := servicePort(m, sp); port == nil {
		return nil, false
	}
	var ready, draining []mesh.Endpoint
	for _, e := range m.Endpoints[sp] {
		switch {
		case e.Ready:
			ready = append(ready, e)
		case e.Serving && e.Terminating:
			draining = append(draining, e)
		}
	}
	if len(ready) > 0 {
		return ready, true
	}
	return draining, true
}

func podEndpoint(m *mesh.Mesh, pod netip.AddrPort) ([]mesh.Endpoint, bool) {
	name, ok := m.WorkloadByIP[pod.Addr()]
	w := m.Workloads[name]
	if !ok || w == nil {
		return nil, false
	}
	e := mesh.Endpoint{Address: pod, Ready: true, Serving: true, Zone: w.Zone, Workload: name}
	if w.Injected {
		e.Identity = w.Identity
	}
	return []mesh.Endpoint{e}, true
}

func lbEndpoint(m *mesh.Mesh, e mesh.Endpoint) *endpointv3.LbEndpoint {
	md := metadata{}
	who := fields{}.text("identity", e.Identity)
	if w := m.Workloads[e.Workload]; w != nil {
		who = workload(w, e.Identity)
	}
	md.set(KeyWorkload, who)
	if e.Identity != "" {
		md.set(KeyTransportSocket, fields{"mtls": structpb.NewBoolValue(true)})
	}
	return &endpointv3.LbEndpoint{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(e.Address)}},
		Metadata:       md.proto(),
	}
}

func address(a netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       a.Addr().Unmap().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}
