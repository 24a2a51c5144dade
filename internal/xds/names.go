package xds

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/internal/mesh"
)

// The type URLs of the resources served.
const (
	ListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	ClusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	SecretType   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Resource names that are not made from a name in the mesh.
const (
	// InboundName is the listener (and the pass-through cluster behind it) with which the asking pod receives.
	InboundName = "inbound"
	// TrustBundleName is the secret that holds the roots of the mesh.
	TrustBundleName = "trust-bundle"
	// WorkloadSecretName is the secret with the proxy's own key and certificate. It is never served: the proxy has it.
	WorkloadSecretName = "workload"
	// FailCluster stands in a weighted cluster where a backend must fail. It never exists, so that Envoy answers with
	// cluster_not_found_response_code.
	FailCluster = "dev.leno.fail"
)

// Keys of filter metadata. Everything that Envoy's API has no field for stands under one of them.
const (
	// KeyOrigin {kind, namespace, name, rule, generation} names the object that a resource or route was made from.
	KeyOrigin = "dev.leno.origin"
	// KeyWorkload {namespace, name, pod, identity} of an endpoint or of the inbound listener.
	KeyWorkload = "dev.leno.workload"
	// KeyListener {protocol, service, cluster, max_request_body} of an outbound listener; the limit is in bytes, below
	// 4 GiB, and no limit when it is not there. {by_name} of a catch-all listener. {service, backends} of a gateway's listener, backends for datagrams only.
	KeyListener = "dev.leno.listener"
	// KeyInbound {strict, protocols, max_request_body} of the inbound listener; protocols by decimal port.
	KeyInbound = "dev.leno.inbound"
	// KeyProxy {outbound, access_log}, on the inbound listener: settings of the whole proxy.
	KeyProxy = "dev.leno.proxy"
	// KeyCluster {service, protocol, fail, persistence, retry_budget} of a cluster; fail answers all requests that would go there,
	// persistence is as KeyPersistence, and retry_budget {percent, interval, min_retries, min_interval} with times in milliseconds.
	KeyCluster = "dev.leno.cluster"
	// KeyFail {reason, message} of a route that answers with a failure.
	KeyFail = "dev.leno.fail"
	// KeyBackends {"<index in the weighted clusters>": {fail, redirect, rewrite, mirrors}} of a route: what backends do
	// beyond changing headers.
	KeyBackends = "dev.leno.backends"
	// KeyCORS {origins, methods, headers, expose, credentials, max_age} of a route: lists are texts with commas.
	KeyCORS = "dev.leno.cors"
	// KeyPersistence {cookie, path, permanent} or {header}, {timeout, key} of a route: how clients stay at an endpoint. The time is in
	// seconds, the key 32 octets in base64.
	KeyPersistence = "dev.leno.persistence"
	// KeyTransportSocket is Envoy's own key: {mtls: true} selects the mutual TLS transport socket of the cluster.
	KeyTransportSocket = "envoy.transport_socket_match"
)

const (
	outboundPrefix = "outbound/"
	// refusedPrefix begins the names by which a proxy tells of connections that it has refused.
	refusedPrefix = "refused/"
	gatewayPrefix = "gateway/"
	// datagramPrefix begins the names of a gateway's listeners for datagrams.
	datagramPrefix    = "udp/"
	certificatePrefix = "certificate/"
	// clientRootsPrefix begins the names of the roots that a listener verifies its clients with: "client-roots/443/www.example.com".
	clientRootsPrefix = "client-roots/"
)

// GatewayListenerName is the name of a gateway's listener for connections to a port, "gateway/443".
func GatewayListenerName(port uint16) string { return gatewayPrefix + strconv.Itoa(int(port)) }

// GatewayRouteName is the name of the table of a gateway's HTTP port, "gateway/namespace/name:80"; tables of HTTPS listeners
// have "/hostname" behind it, or "/*".
func GatewayRouteName(g mesh.Name, port uint16) string {
	return gatewayPrefix + g.String() + ":" + strconv.Itoa(int(port))
}

// isGatewayRoute tells names of GatewayRouteName from those of RouteName: a namespace may be called "gateway", but names of Services
// have no slash.
func isGatewayRoute(name string) bool {
	rest, ok := strings.CutPrefix(name, gatewayPrefix)
	return ok && strings.Contains(rest, "/")
}

// CertificateName is the name of the secret with a certificate and its key, "certificate/namespace/name".
func CertificateName(c mesh.Name) string { return certificatePrefix + c.String() }

// ListenerName is the name of the listener for an original destination, "outbound/10.96.0.10:80".
func ListenerName(dst netip.AddrPort) string {
	return outboundPrefix + canonical(dst).String()
}

// CatchAll is the destination whose listener takes connections to a port of addresses that no other one has: "outbound/0.0.0.0:443".
// Envoy, too, turns to the listener of the wildcard address when it has none for the original destination.
func CatchAll(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), port) }

// RegisteredRouteName is the table of the hosts at a port that a namespace registers, "outbound/shop/*:80".
func RegisteredRouteName(namespace string, port uint16) string {
	return outboundPrefix + namespace + "/*:" + strconv.Itoa(int(port))
}

// parseRegisteredRoute reverses RegisteredRouteName. Names of Services have no slash, so no port's table is called so.
func parseRegisteredRoute(name string) (namespace string, port uint16, ok bool) {
	rest, isOutbound := strings.CutPrefix(name, outboundPrefix)
	namespace, number, found := strings.Cut(rest, "/*:")
	n, err := strconv.ParseUint(number, 10, 16)
	ok = isOutbound && found && err == nil && name == RegisteredRouteName(namespace, uint16(n))
	return namespace, uint16(n), ok
}

// RefusedName tells of a connection that was refused for its host, which may be empty: "refused/192.0.2.1:443/www.example.com". There
// never is such a listener: a proxy asks for it to let the control plane know, as it does for every address that it is to reach.
func RefusedName(dst netip.AddrPort, host string) string {
	return refusedPrefix + canonical(dst).String() + "/" + host
}

// ParseRefusedName reverses RefusedName. The host has the characters of host names only: it comes from an application.
func ParseRefusedName(name string) (dst netip.AddrPort, host string, ok bool) {
	rest, ok := strings.CutPrefix(name, refusedPrefix)
	if !ok {
		return netip.AddrPort{}, "", false
	}
	address, host, _ := strings.Cut(rest, "/")
	dst, ok = parsePodCluster(address)
	outside := func(c rune) bool {
		return (c < 'a' || 'z' < c) && (c < '0' || '9' < c) && c != '-' && c != '_' && c != '.'
	}
	if !ok || len(host) > maxHost || strings.ContainsFunc(host, outside) || RefusedName(dst, host) != name {
		return netip.AddrPort{}, "", false
	}
	return dst, host, true
}

// maxHost is the length of the longest name in DNS, without the dot at its end.
const maxHost = 253

// ClusterName is "namespace/service:port", of the cluster and of its endpoints; "namespace/service:port/udp" for a UDP port, and
// "namespace/name:port/xbackend" for an XBackend.
func ClusterName(sp mesh.ServicePort) string {
	name := sp.Namespace + "/" + sp.Name.Name + ":" + strconv.Itoa(int(sp.Port))
	switch {
	case sp.XBackend:
		name += xbackendSuffix
	case sp.UDP:
		name += udpSuffix
	}
	return name
}

const (
	udpSuffix      = "/udp"
	xbackendSuffix = "/xbackend"
)

// PodClusterName is "address:port", of the cluster with that one endpoint.
func PodClusterName(pod netip.AddrPort) string { return canonical(pod).String() }

// RouteName is the name of a port's producer table, or, with a client namespace, of that namespace's consumer table.
func RouteName(sp mesh.ServicePort, consumer string) string {
	if consumer == "" {
		return ClusterName(sp)
	}
	return ClusterName(sp) + "@" + consumer
}

func canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// ParseListenerName reverses ListenerName. Names that it would not have made are refused, so that a resource has one name.
func ParseListenerName(name string) (netip.AddrPort, bool) {
	rest, ok := strings.CutPrefix(name, outboundPrefix)
	if !ok {
		return netip.AddrPort{}, false
	}
	return parsePodCluster(rest)
}

// parsePodCluster reverses PodClusterName.
func parsePodCluster(name string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(name)
	if err != nil || PodClusterName(a) != name {
		return netip.AddrPort{}, false
	}
	return a, true
}

// parseCluster reverses ClusterName.
func parseCluster(name string) (mesh.ServicePort, bool) {
	namespace, rest, ok := strings.Cut(name, "/")
	if !ok {
		return mesh.ServicePort{}, false
	}
	service, number, ok := strings.Cut(rest, ":")
	if !ok {
		return mesh.ServicePort{}, false
	}
	number, udp := strings.CutSuffix(number, udpSuffix)
	number, xbackend := strings.CutSuffix(number, xbackendSuffix)
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return mesh.ServicePort{}, false
	}
	sp := mesh.ServicePort{Name: mesh.Name{Namespace: namespace, Name: service}, Port: uint16(port), UDP: udp, XBackend: xbackend}
	return sp, ClusterName(sp) == name
}

// parseRoute reverses RouteName.
func parseRoute(name string) (sp mesh.ServicePort, consumer string, ok bool) {
	frontend, consumer, isConsumer := strings.Cut(name, "@")
	if isConsumer && consumer == "" {
		return mesh.ServicePort{}, "", false
	}
	sp, ok = parseCluster(frontend)
	return sp, consumer, ok
}
