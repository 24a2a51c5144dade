package fail

import "github.com/leno-mesh/leno/proxy/grpc"

// GRPC is the status that a gRPC call is told.
func GRPC(k Kind) grpc.Status {
	switch k {
	case RequestTimeout, BackendTimeout:
		return grpc.DeadlineExceeded
	case Overload:
		return grpc.Unavailable
	}
	return grpc.FromHTTP(table[k].Status)
}
