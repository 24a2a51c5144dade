package xds

import (
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// dnsRefresh is how often proxies ask for the addresses of a name again: a resolver's answers have no age that a proxy sees.
const dnsRefresh = 30 * time.Second

// setDNS makes the endpoints of a cluster what DNS says of a name, where the port has one.
func setDNS(c *clusterv3.Cluster, port *mesh.Port) {
	if port.Hostname == "" {
		return
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
	c.EdsClusterConfig = nil
	c.DnsRefreshRate = durationpb.New(dnsRefresh) //nolint:staticcheck // its successor is an extension with a config of its own
	c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{
		ClusterName: c.Name,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					Address: port.Hostname, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port.Number)},
				}}},
			}},
		}}}},
	}
}

// declaredXBackend holds for XBackends that say what they speak: what the client speaks has no say then.
func declaredXBackend(sp mesh.ServicePort, protocol mesh.Protocol) bool {
	return sp.XBackend && protocol != mesh.ProtocolUndeclared
}

// noClientCertificate answers requests of sidecars for a backend that wants to see a certificate: they get no private keys but their own.
var noClientCertificate = mesh.Failure{
	Status: 500, Reason: "ClientCertificateInMesh", Message: "the backend wants a client certificate, which only gateways can show",
}

// shown finds a certificate that is shown to an XBackend which a listener's routes lead to.
func shown(m *mesh.Mesh, l *mesh.Listener, name string) *mesh.Certificate {
	for _, to := range destinations(l) {
		if !to.XBackend {
			continue
		}
		if _, port := servicePort(m, to); port != nil && port.TLS != nil {
			if c := port.TLS.Certificate; c != nil && CertificateName(c.Name) == name {
				return c
			}
		}
	}
	return nil
}

// destinations are what the routes and filters of a listener lead to.
func destinations(l *mesh.Listener) []mesh.ServicePort {
	var out []mesh.ServicePort
	for _, h := range l.Hosts {
		for _, f := range h.Filters {
			out = append(out, f.Server)
		}
		for _, e := range h.Routes.Entries {
			out = slices.AppendSeq(out, e.Rule.Destinations())
		}
	}
	for _, s := range l.Servers {
		out = slices.AppendSeq(out, s.Split.Destinations())
	}
	return slices.AppendSeq(out, l.Split.Destinations())
}
