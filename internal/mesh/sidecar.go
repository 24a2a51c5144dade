package mesh

// What an injected pod and its sidecar agree on. The injector writes it, the proxy reads it.

// Containers of an injected pod.
const (
	ProxyContainer = "leno-proxy"
	InitContainer  = "leno-init"
)

// ProxyUID is the user and group of the sidecar; what it sends is never captured.
const ProxyUID = 15015

// Ports of the sidecar in the pod's network.
const (
	PortAdmin    = 15000 // loopback only
	PortOutbound = 15001
	PortInbound  = 15006
	PortHealth   = 15020 // /ready, /live, /metrics, /probe/<container>/<kind>
)

// The control plane's address for sidecars, and the name its certificate must carry.
const (
	SystemNamespace   = "leno-system"
	ManagerService    = "leno-manager"
	ManagerServerName = "leno-manager.leno-system.svc"
	ManagerPort       = 15010
)

// Files of the sidecar.
const (
	TrustDir        = "/var/run/leno/trust"
	TrustFile       = TrustDir + "/ca.crt"
	TokenDir        = "/var/run/leno/token"
	TokenFile       = TokenDir + "/token"
	CacheDir        = "/var/run/leno/cache"
	TrustKey        = "ca.crt" // in the ConfigMap TrustBundleName
	TokenAud        = "leno"   // audience of the projected service-account token
	TrustBundleName = "leno-trust-bundle"
)

// Environment of the sidecar.
const (
	EnvPodName        = "POD_NAME"
	EnvPodNamespace   = "POD_NAMESPACE"
	EnvPodIPs         = "POD_IPS" // comma list
	EnvNodeName       = "NODE_NAME"
	EnvServiceAccount = "SERVICE_ACCOUNT"
	EnvTrustDomain    = "LENO_TRUST_DOMAIN"
	EnvManager        = "LENO_MANAGER"   // host:port
	EnvLogLevel       = "LENO_LOG_LEVEL" // debug, info, warn or error
	EnvProbes         = "LENO_PROBES"    // JSON list of Probe
)

// Labels and annotations, on pods unless said otherwise.
const (
	// LabelInject is "enabled" or "disabled", on a Namespace or a Pod; the Pod's wins.
	LabelInject = "mesh.leno.dev/inject"
	// AnnotationInjected marks an injected pod: "native" or "classic".
	AnnotationInjected = "mesh.leno.dev/injected"
)
