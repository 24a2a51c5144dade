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

// GatewayClass is the name of the GatewayClass that the operator creates. Others may name Leno as their controller, too.
const GatewayClass = "leno"

// Labels that tell what Leno made from what other implementations made for the same Gateway.
const (
	LabelApp       = "app.kubernetes.io/name"
	GatewayApp     = "leno-gateway"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "leno"
)

// AnnotationGateway is the Gateway's whole name, on its pods: a label has no room for long ones.
const AnnotationGateway = "mesh.leno.dev/gateway"

// maxLabel is the longest name that can also be a label (RFC 1123).
const maxLabel = 63

// suffix ends the names of what is made for a Gateway.
const suffix = "-leno"

// GatewayLabel is the value of LabelGatewayName: the name, or a short form of a long one.
func GatewayLabel(gateway string) string {
	if len(gateway) <= maxLabel {
		return gateway
	}
	return hashed(gateway, gateway, "")
}

// GatewayResource is the name of everything that is made for a Gateway in its namespace: its Deployment, Service and ServiceAccount. It is
// one that a Service may have: a label of DNS that begins with a letter (RFC 1035 section 2.3.1).
func GatewayResource(gateway string) string {
	letter := gateway != "" && gateway[0] >= 'a' && gateway[0] <= 'z'
	if letter && !strings.Contains(gateway, ".") && len(gateway)+len(suffix) <= maxLabel {
		return gateway + suffix
	}
	name := strings.ReplaceAll(gateway, ".", "-")
	if !letter {
		name = "gateway-" + name
	}
	return hashed(name, gateway, suffix)
}

// GatewayServiceAccount is the service account of a Gateway's proxies.
func GatewayServiceAccount(gateway string) string { return GatewayResource(gateway) }

// hashed is what of a name there is room for, with a hash of what it stands for that keeps it apart from others.
func hashed(name, of, end string) string {
	sum := sha256.Sum256([]byte(of))
	const digits = 10
	end = "-" + hex.EncodeToString(sum[:])[:digits] + end
	return strings.TrimRight(name[:min(len(name), maxLabel-len(end))], "-.") + end
}

// Owner is the controller of an object, as its owner references tell.
type Owner struct{ Kind, Name, UID string }

// Claim is whose an object is that has a name that a Gateway needs.
type Claim int

// The claims.
const (
	ClaimForeign Claim = iota // somebody else made it
	ClaimOwn                  // it was made for the Gateway
	ClaimEarlier              // it was made for an earlier Gateway of the same name, and will be gone soon
)

// ClaimOf tells whose an object is by its labels and its owner; nil: it has none. Who made an object for a Gateway and took the owner away, as
// "kubectl delete --cascade=orphan" and backups do, left it to the next Gateway of the name.
func ClaimOf(gateway, uid string, labels map[string]string, owner *Owner) Claim {
	made := labels[LabelManagedBy] == ManagedBy && labels[LabelGatewayName] == GatewayLabel(gateway)
	switch {
	case owner == nil && made, owner != nil && owner.Kind == "Gateway" && owner.UID == uid:
		return ClaimOwn
	case owner != nil && owner.Kind == "Gateway" && owner.Name == gateway && made:
		return ClaimEarlier
	}
	return ClaimForeign
}
