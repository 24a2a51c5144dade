package fail

import "github.com/leno-mesh/leno/proxy/grpc"

// GRPC is the status that a gRPC call is told.
func GRPC(k Kind) grpc.Status {
	switch k {
	case RequestTimeout, BackendTimeout:
		return grpc.DeadlineExceeded
	case BodyTooLarge:
		return grpc.ResourceExhausted
	case BadRoute, BadBackend:
		return grpc.Unavailable // as GRPCRouteRule's backendRefs say of references that are not valid
	default:
		return grpc.FromHTTP(table[k].Status)
	}
}
