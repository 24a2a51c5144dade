package fail

import "github.com/leno-mesh/leno/proxy/grpc"

// GRPC is the status that a gRPC call is told.
func GRPC(k Kind) grpc.Status {
	switch k {
	case RequestTimeout, BackendTimeout:
		return grpc.DeadlineExceeded
	case BodyTooLarge:
		return grpc.ResourceExhausted
	default:
		return grpc.FromHTTP(table[k].Status)
	}
}
