package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// LabelGatewayName is on everything that is made for a Gateway, and LabelGatewayClass with it (Gateway API, well-known labels).
const (
	LabelGatewayName  = "gateway.networking.k8s.io/gateway-name"
	LabelGatewayClass = "gateway.networking.k8s.io/gateway-class-name"
)

// AnnotationGateway is the Gateway's whole name, on its pods: a label has no room for long ones.
const AnnotationGateway = "mesh.leno.dev/gateway"

// maxLabel is the longest name that can also be a label (RFC 1123).
const maxLabel = 63

// GatewayLabel is the value of LabelGatewayName: the name, or a short form of a long one.
func GatewayLabel(gateway string) string { return short(gateway, "") }

// GatewayResource is the name of everything that is made for a Gateway in its namespace: its Deployment, Service and ServiceAccount.
func GatewayResource(gateway string) string { return short(gateway, "-leno") }

// GatewayServiceAccount is the service account of a Gateway's proxies.
func GatewayServiceAccount(gateway string) string { return GatewayResource(gateway) }

// short cuts long names, with a hash that keeps them apart.
func short(name, suffix string) string {
	if len(name)+len(suffix) <= maxLabel {
		return name + suffix
	}
	sum := sha256.Sum256([]byte(name))
	const digits = 10
	return strings.TrimRight(name[:maxLabel-digits-1-len(suffix)], "-.") + "-" + hex.EncodeToString(sum[:])[:digits] + suffix
}
