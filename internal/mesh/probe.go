package mesh

// ProbeKind is one of the kubelet's three kinds of probe.
type ProbeKind string

// The kinds of probe.
const (
	ProbeReadiness ProbeKind = "readiness"
	ProbeLiveness  ProbeKind = "liveness"
	ProbeStartup   ProbeKind = "startup"
)

// Probe is a container's probe as its author wrote it. The kubelet asks the sidecar instead, at ProbePath, and the
// sidecar asks the container over the pod's own address, so that mutual TLS and policies do not stand in the way. The
// list of a pod's probes travels as JSON in the sidecar's environment (EnvProbes). Exactly one of HTTP, TCP and GRPC
// is set.
type Probe struct {
	Container string     `json:"container"`
	Kind      ProbeKind  `json:"kind"`
	HTTP      *HTTPProbe `json:"http,omitempty"`
	TCP       *TCPProbe  `json:"tcp,omitempty"`
	GRPC      *GRPCProbe `json:"grpc,omitempty"`
	// TimeoutSeconds limits one probe; 0 means 1, as in Kubernetes.
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
}

// HTTPProbe succeeds on a status from 200 to 399.
type HTTPProbe struct {
	Scheme  string        `json:"scheme,omitempty"` // "HTTP" (also when empty) or "HTTPS", whose certificate is not checked
	Port    uint16        `json:"port"`
	Path    string        `json:"path,omitempty"` // empty means "/"
	Headers []ProbeHeader `json:"headers,omitempty"`
	// PortName is set when the author named the port instead of giving its number.
	PortName string `json:"portName,omitempty"`
}

// ProbeHeader is a header field to send.
type ProbeHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPProbe succeeds when the port accepts a connection.
type TCPProbe struct {
	Port     uint16 `json:"port"`
	PortName string `json:"portName,omitempty"`
}

// GRPCProbe succeeds when grpc.health.v1.Health/Check answers SERVING.
type GRPCProbe struct {
	Port uint16 `json:"port"`
	// Service is the service asked for; nil and empty ask for the server as a whole.
	Service *string `json:"service,omitempty"`
}

// ProbePath is where the sidecar answers for a probe, on PortHealth.
func ProbePath(container string, kind ProbeKind) string {
	return "/probe/" + container + "/" + string(kind)
}
