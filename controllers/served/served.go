// Package served tells which kinds the cluster serves. Leno installs nobody else's custom resource definitions: what it
// can do without them it does, and what it cannot waits for them here.
package served

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Poll is how often Wait looks again.
const Poll = 5 * time.Second

// Kinds that clusters may lack.
var (
	GatewayClass          = gatewayAPI("GatewayClass")
	Gateway               = gatewayAPI("Gateway")
	ListenerSet           = gatewayAPI("ListenerSet")
	HTTPRoute             = gatewayAPI("HTTPRoute")
	GRPCRoute             = gatewayAPI("GRPCRoute")
	TLSRoute              = gatewayAPI("TLSRoute")
	TCPRoute              = gatewayAPI("TCPRoute")
	UDPRoute              = gatewayAPI("UDPRoute")
	BackendTLSPolicy      = gatewayAPI("BackendTLSPolicy")
	ReferenceGrant        = gatewayAPI("ReferenceGrant")
	ReferenceGrantV1Beta1 = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1beta1", Kind: "ReferenceGrant"}
	GatewayParameters     = schema.GroupVersionKind{Group: "mesh.leno.dev", Version: "v1alpha1", Kind: "GatewayParameters"}
	ClusterTrustBundle    = schema.GroupVersionKind{Group: "certificates.k8s.io", Version: "v1", Kind: "ClusterTrustBundle"}
	XMesh                 = experimental("XMesh")
	XBackendTrafficPolicy = experimental("XBackendTrafficPolicy")
	XBackend              = experimental("XBackend")
	Issuer                = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Issuer"}
	Certificate           = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}
	CertificateRequest    = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "CertificateRequest"}
)

func gatewayAPI(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: kind}
}

func experimental(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "gateway.networking.x-k8s.io", Version: "v1alpha1", Kind: kind}
}

// Is tells whether the cluster serves a kind now. The error is that of asking.
func Is(mapper meta.RESTMapper, kind schema.GroupVersionKind) (bool, error) {
	_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case err == nil:
		return true, nil
	case meta.IsNoMatchError(err):
		return false, nil
	default:
		return false, fmt.Errorf("ask whether the cluster serves %s: %w", kind, err)
	}
}

// Missing are those of the kinds that the cluster does not serve.
func Missing(mapper meta.RESTMapper, kinds ...schema.GroupVersionKind) ([]schema.GroupVersionKind, error) {
	var missing []schema.GroupVersionKind
	for _, kind := range kinds {
		ok, err := Is(mapper, kind)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, kind)
		}
	}
	return missing, nil
}

// Wait returns true when the cluster serves all of the kinds, and false when ctx ends before. Errors of asking only mean
// asking again.
func Wait(ctx context.Context, mapper meta.RESTMapper, kinds ...schema.GroupVersionKind) bool {
	ticker := time.NewTicker(Poll)
	defer ticker.Stop()
	for {
		if missing, err := Missing(mapper, kinds...); err == nil && len(missing) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}
