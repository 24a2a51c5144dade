package graph

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// protocols says what an appProtocol, or the first part of a port's name, declares. The kubernetes.io names are those of
// KEP-3726. Protocols in which the server speaks first are declared opaque, so that nobody waits for a client's first byte.
var protocols = map[string]mesh.Protocol{
	"http":              mesh.ProtocolHTTP,
	"kubernetes.io/ws":  mesh.ProtocolHTTP,
	"http2":             mesh.ProtocolHTTP2,
	"h2c":               mesh.ProtocolHTTP2,
	"grpc":              mesh.ProtocolHTTP2,
	"kubernetes.io/h2c": mesh.ProtocolHTTP2,
	"https":             mesh.ProtocolTLS,
	"tls":               mesh.ProtocolTLS,
	"kubernetes.io/wss": mesh.ProtocolTLS,
	"tcp":               mesh.ProtocolTCP,
	"amqp":              mesh.ProtocolTCP,
	"cassandra":         mesh.ProtocolTCP,
	"ftp":               mesh.ProtocolTCP,
	"imap":              mesh.ProtocolTCP,
	"kafka":             mesh.ProtocolTCP,
	"ldap":              mesh.ProtocolTCP,
	"memcached":         mesh.ProtocolTCP,
	"mongo":             mesh.ProtocolTCP,
	"mongodb":           mesh.ProtocolTCP,
	"mysql":             mesh.ProtocolTCP,
	"nats":              mesh.ProtocolTCP,
	"pop3":              mesh.ProtocolTCP,
	"postgres":          mesh.ProtocolTCP,
	"postgresql":        mesh.ProtocolTCP,
	"redis":             mesh.ProtocolTCP,
	"smtp":              mesh.ProtocolTCP,
	"ssh":               mesh.ProtocolTCP,
}

// protocolOf is what a port says of its traffic: appProtocol if it says anything that is known, else the port's name up to
// the first dash ("http", "http-admin"), else nothing.
func protocolOf(p corev1.ServicePort) mesh.Protocol {
	if declared := appProtocol(p); declared != mesh.ProtocolUndeclared {
		return declared
	}
	if p.AppProtocol != nil && *p.AppProtocol != "" {
		return mesh.ProtocolUndeclared
	}
	first, _, _ := strings.Cut(p.Name, "-")
	return protocols[strings.ToLower(first)]
}

// appProtocol is what the field appProtocol alone says. IANA service names are compared without regard to case (RFC 6335).
func appProtocol(p corev1.ServicePort) mesh.Protocol {
	if p.AppProtocol == nil {
		return mesh.ProtocolUndeclared
	}
	return protocols[strings.ToLower(*p.AppProtocol)]
}
