package config

import "net/netip"

// The type URLs of the resources a proxy understands.
const (
	ListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	ClusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	SecretType   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// The names of the resources that each proxy asks for.
const (
	InboundName     = "inbound"
	TrustBundleName = "trust-bundle"
)

// OutboundPrefix begins the names of listeners for original destinations.
const OutboundPrefix = "outbound/"

// ListenerName is the name of the listener for an original destination, "outbound/10.96.0.10:80".
func ListenerName(dst netip.AddrPort) string { return OutboundPrefix + dst.String() }

// Destination is the one key of an original destination: IPv4 in its short form, no zone.
func Destination(dst netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(dst.Addr().Unmap().WithZone(""), dst.Port())
}

// CatchAll is the destination whose listener takes connections to a port of addresses that the control plane does not know.
func CatchAll(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), port) }

// RefusedName tells the control plane, by asking for it, of a connection that was refused for its host, which may be empty.
func RefusedName(dst netip.AddrPort, host string) string {
	return "refused/" + Destination(dst).String() + "/" + host
}

// failCluster stands in for a backend that must fail.
const failCluster = "dev.leno.fail"

// Keys of filter metadata that carry what Envoy's API has no field for.
const (
	keyOrigin   = "dev.leno.origin"
	keyWorkload = "dev.leno.workload"
	keyListener = "dev.leno.listener"
	keyInbound  = "dev.leno.inbound"
	keyProxy    = "dev.leno.proxy"
	keyCluster  = "dev.leno.cluster"
	keyFail     = "dev.leno.fail"
	keyBackends = "dev.leno.backends"
	keyCORS     = "dev.leno.cors"

	keyPersistence = "dev.leno.persistence"
)
