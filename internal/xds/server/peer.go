package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/leno-mesh/leno/internal/mesh"
)

// PeerFunc tells the SPIFFE id that the other end of a stream has proved.
type PeerFunc func(ctx context.Context) (string, error)

// TLSPeer is the one URI of the verified client certificate.
func TLSPeer(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errors.New("the connection has no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return "", errors.New("the connection has no verified client certificate: connect with the workload's own")
	}
	leaf := info.State.VerifiedChains[0][0]
	if len(leaf.URIs) != 1 || leaf.URIs[0].Scheme != "spiffe" {
		return "", fmt.Errorf("the client certificate has %d URIs: one SPIFFE id is needed", len(leaf.URIs))
	}
	return leaf.URIs[0].String(), nil
}

// What begins the node id of a proxy beside an application, and of one of a gateway.
const (
	sidecarPrefix = "sidecar~"
	gatewayPrefix = "gateway~"
)

// parseNode reads "sidecar~namespace/pod" or "gateway~namespace/pod".
func parseNode(id string) (mesh.Name, error) {
	rest, ok := strings.CutPrefix(id, sidecarPrefix)
	if !ok {
		rest, ok = strings.CutPrefix(id, gatewayPrefix)
	}
	namespace, pod, cut := strings.Cut(rest, "/")
	if !ok || !cut || namespace == "" || pod == "" || strings.Contains(pod, "/") || len(id) > 512 {
		return mesh.Name{}, fmt.Errorf("node id %.200q is not %snamespace/pod or %snamespace/pod", id, sidecarPrefix, gatewayPrefix)
	}
	return mesh.Name{Namespace: namespace, Name: pod}, nil
}
