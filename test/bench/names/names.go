// Package names is who is who in the benchmark's mesh.
package names

// The client's sidecar, and what it trusts.
const (
	TrustDomain = "cluster.local"
	Namespace   = "bench"
	Pod         = "client-1"
	Account     = "client"
)
