// Package mesh holds the nouns of the service mesh: what a Service, a Workload, a route and an identity are,
// independent of Kubernetes, of xDS and of any proxy. It is plain data: the graph builds it, the translators read it,
// nobody changes it once it was published.
package mesh

import (
	"net/netip"
	"time"
)

// Name identifies a namespaced object.
type Name struct {
	Namespace string
	Name      string
}

// String is "namespace/name".
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Origin names the object, and the part of it, that a piece of configuration was made from. It travels with the
// configuration through xDS metadata into access logs, metrics and explanations.
type Origin struct {
	Kind      string // Kubernetes kind: "HTTPRoute", "Service", "Mesh"
	Namespace string
	Name      string
	// Rule is the name of the rule in the object, or its index in decimal; empty when the whole object is meant.
	Rule string
	// Generation is metadata.generation of the object.
	Generation int64
}

// Mesh is one immutable picture of everything that proxies may be told.
type Mesh struct {
	Settings Settings
	// Services by name, headless and selectorless ones included.
	Services map[Name]*Service
	// XBackends are destinations of routes that are no Services, by name, each as a Service without addresses and with one port.
	XBackends map[Name]*Service
	// Registered are the XBackends whose hosts sidecars may reach by name, under OutboundRegistryOnly: one for each host, ascending by it.
	Registered map[Registry][]ServicePort
	// Gateways by name.
	Gateways map[Name]*Gateway
	// Workloads by pod name; pods without an address yet, finished pods and host-network pods are left out.
	Workloads map[Name]*Workload
	// Frontends finds the service port behind a virtual address (ClusterIP and LoadBalancer addresses) and port.
	Frontends map[netip.AddrPort]ServicePort
	// WorkloadByIP finds the pod that owns an address.
	WorkloadByIP map[netip.Addr]Name
	// Endpoints is replaced alone when only endpoints changed: everything else is then shared with the predecessor.
	Endpoints map[ServicePort][]Endpoint
}

// Settings are the mesh-wide settings, from the Mesh resource or its defaults.
type Settings struct {
	Origin      Origin
	TrustDomain string
	MTLS        MTLSMode
	Outbound    OutboundPolicy
	AccessLog   bool
	// SessionKey is what sessions are sealed with (Persistence); zero: there are none.
	SessionKey SessionKey
}

// MTLSMode says what an inbound listener accepts.
type MTLSMode string

// The modes of mutual TLS at the inbound side.
const (
	MTLSPermissive MTLSMode = "Permissive" // mutual TLS from sidecars, plain text from everybody else
	MTLSStrict     MTLSMode = "Strict"     // mutual TLS only
)

// Protocol is what is known of a port's traffic before the first byte.
type Protocol string

// The protocols. Undeclared ports are detected by the proxy.
const (
	ProtocolUndeclared Protocol = ""
	ProtocolHTTP       Protocol = "HTTP"  // of the version that the client speaks, WebSocket included
	ProtocolHTTP2      Protocol = "HTTP2" // the endpoints get HTTP/2 by prior knowledge (h2c), gRPC included
	ProtocolTLS        Protocol = "TLS"   // the application's own TLS: passed through
	ProtocolTCP        Protocol = "TCP"   // opaque, server-first protocols included
)

// ServicePort names one port of one Service.
type ServicePort struct {
	Name
	Port uint16
	UDP  bool // a number may be used once for each transport
	// XBackend tells that Name is that of an XBackend (GEP-4894), not of a Service; Port is the one that it names.
	XBackend bool
}

// Service is one Kubernetes Service.
type Service struct {
	Name
	Origin Origin
	// Addresses are the virtual addresses (ClusterIPs, LoadBalancer addresses); empty for headless Services.
	Addresses []netip.Addr
	Headless  bool
	Ports     []Port // ascending by Number, TCP before UDP
}

// Port is one port of a Service, with the routes that are attached to it.
type Port struct {
	Number   uint16
	UDP      bool // nothing but Number and Name says anything then
	Name     string
	Protocol Protocol
	// Routes is what producer routes (same namespace as the Service) say; nil when none is attached.
	Routes *RouteTable
	// Consumer holds, by client namespace, what routes of that namespace say. Where a client's namespace is present,
	// its table alone applies to that client (GEP-1426).
	Consumer map[string]*RouteTable
	// L4 is what TLSRoutes or TCPRoutes say, ConsumerL4 the same by client namespace. Where there is something in Routes there is
	// nothing in L4, and so for each client namespace (GEP-1294: GRPCRoute before HTTPRoute before TLSRoute before TCPRoute).
	L4         *L4
	ConsumerL4 map[string]*L4
	// TLS is how gateways speak to the endpoints; nil: in plain text, or in mutual TLS to sidecars. That of an XBackend is for all proxies.
	TLS *BackendTLS
	// Hostname is what proxies ask DNS for to find the endpoints, outside of the mesh; "" where they are known.
	Hostname string
	// Persistence keeps clients at an endpoint where no rule says how; nil: each request is on its own.
	Persistence *Persistence
	// RetryBudget bounds retries to the port; nil: nothing but each rule does.
	RetryBudget *RetryBudget
}

// L4 is where connections to a port go that are not looked into beyond their server name: by Servers, or all by Split.
type L4 struct {
	Servers []Server
	Split   *Split
}

// RouteTable is everything attached to one frontend, in order of precedence: the first entry that matches wins; if none
// matches, the answer is 404.
type RouteTable struct {
	Entries []Entry
}

// Entry is one match of one rule.
type Entry struct {
	Match Match
	Rule  *Rule
}

// Match is met when all its parts are met.
type Match struct {
	Path    PathMatch
	Method  string // empty: any
	Headers []ValueMatch
	Query   []ValueMatch
}

// PathMatchKind says how PathMatch.Value is compared.
type PathMatchKind string

// The kinds of path match of the Gateway API.
const (
	PathPrefix PathMatchKind = "PathPrefix" // by whole path elements; "/" matches all
	PathExact  PathMatchKind = "Exact"
	PathRegex  PathMatchKind = "RegularExpression" // RE2, matches the whole path
)

// PathMatch compares the path of the request target, without its query.
type PathMatch struct {
	Kind  PathMatchKind
	Value string
}

// ValueMatch compares one header field (name without regard to case) or one query parameter (case counts).
type ValueMatch struct {
	Name  string
	Regex bool // RE2, matches the whole value
	Value string
}

// Rule is what happens to a request that an entry selected. Exactly one of Fail, Filters.Redirect and Backends acts,
// in this order.
type Rule struct {
	Origin  Origin
	Filters Filters
	// Backends by weight. None, or a total weight of 0, answers 500.
	Backends []Backend
	// Timeout limits the whole request, from the first byte in to the last byte out; 0: none.
	Timeout time.Duration
	// BackendTimeout limits one attempt at a backend; 0: none.
	BackendTimeout time.Duration
	// Retry is nil where requests are sent again only if it is certain that no backend has seen them.
	Retry *Retry
	// Persistence keeps clients at the backend and endpoint that they were sent to first; nil: each request is on its own.
	Persistence *Persistence
	// Fail answers each request of the rule; nil for a valid rule.
	Fail *Failure
}

// Retry sends a request again where no backend took it, after an attempt that took longer than BackendTimeout, and after an answer with one of
// Statuses (GEP-1731).
type Retry struct {
	Attempts uint32 // after the first one; 0: none, not even where no backend has seen the request
	Statuses []int  // sorted
	Backoff  time.Duration
}

// RetryBudget bounds the retries that one proxy sends to one backend (GEP-3388): within Interval they may be Percent of all requests, and
// in any case MinRetries within MinInterval.
type RetryBudget struct {
	Percent     uint32
	Interval    time.Duration
	MinRetries  uint32
	MinInterval time.Duration
}

// Failure is a configuration mistake that requests must meet as an error.
type Failure struct {
	Status  int    // HTTP status
	Reason  string // one of the reasons that the route's status shows, like "UnsupportedValue"
	Message string // for the access log and explanations
}

// Filters change a request or its response, at rule or backend level.
type Filters struct {
	RequestHeaders  *HeaderChange
	ResponseHeaders *HeaderChange
	Redirect        *Redirect
	Rewrite         *Rewrite
	Mirrors         []Mirror
	CORS            *CORS         // of rules only
	ExternalAuth    *ExternalAuth // of rules only
}

// CORS says which origins' scripts may use a rule's responses (HTTPCORSFilter).
type CORS struct {
	// Origins like "https://example.com", "https://*.example.com" for any labels in front, or "*" alone.
	Origins []string
	// Methods, Headers and Expose are names; "*" alone is all of them.
	Methods     []string
	Headers     []string
	Expose      []string
	Credentials bool
	MaxAge      uint32 // seconds
}

// ExternalAuth asks an authorization server whether a request may pass, before anything else happens to it but the answer to a
// browser's preflight (HTTPExternalAuthFilter, GEP-1494).
type ExternalAuth struct {
	Server ServicePort
	// GRPC asks in Envoy's ext_authz protocol; else the question is a request with the method and path of the one in question.
	GRPC bool
	// PathPrefix goes in front of the path (HTTP): empty, or "/" and more without a slash at the end.
	PathPrefix string
	// RequestHeaders are told to the server, in lower case. Empty: all of them (GRPC), or those only that always are (HTTP).
	RequestHeaders []string
	// ResponseHeaders of the server's yes are copied to the request, in lower case (HTTP); empty: all.
	ResponseHeaders []string
	// MaxBody is the longest request body that is told to the server, in bytes; a longer one is refused. 0: no body is told.
	MaxBody uint32
}

// HeaderChange is applied in the order remove, set, add.
type HeaderChange struct {
	Set    []Header
	Add    []Header
	Remove []string
}

// Header is one header field.
type Header struct{ Name, Value string }

// Redirect answers with a Location. Nil parts are taken over from the request.
type Redirect struct {
	Scheme   string // "http", "https", "" keeps
	Hostname string
	Port     uint16 // 0: the well-known port of Scheme if Scheme is set, else the port the request came in on
	Path     *PathChange
	Status   int // 301, 302, 303, 307 or 308
}

// Rewrite changes what the backend sees.
type Rewrite struct {
	Hostname string
	Path     *PathChange
}

// PathChange replaces the whole path or the prefix that the entry's match found. The query is kept.
type PathChange struct {
	Full   *string // replaces the whole path
	Prefix *string // replaces Match.Path.Value, on whole path elements
}

// Mirror sends a copy of the request to another backend and ignores the answer.
type Mirror struct {
	Backend ServicePort
	// Numerator of Denominator requests are mirrored.
	Numerator   uint32
	Denominator uint32
	// Invalid is set when Backend must not be sent anything (missing or forbidden); the mirror is then dropped.
	Invalid string
}

// Backend is one destination of a rule.
type Backend struct {
	Service ServicePort
	Weight  uint32
	Filters Filters
	// Fail answers the requests that the weights give to this backend; nil for a valid backend.
	Fail *Failure
}

// Endpoint is one address of a service port.
type Endpoint struct {
	Address netip.AddrPort
	// Ready endpoints get new requests. Terminating ones that still serve get them only when nothing is ready.
	Ready       bool
	Serving     bool
	Terminating bool
	Zone        string
	// Workload is the pod behind the address; zero when no pod of the mesh has it.
	Workload Name
	// Identity is the SPIFFE id of the workload; empty when it has no sidecar, and then it is spoken to in plain text.
	Identity string
}

// Workload is one pod.
type Workload struct {
	Name
	Origin         Origin
	Addresses      []netip.Addr
	ServiceAccount string
	// Identity is the SPIFFE id that the pod's sidecar may ask for.
	Identity string
	// Injected tells whether the pod has a sidecar.
	Injected bool
	// Gateway is the Gateway whose proxy the pod is; zero for others.
	Gateway Name
	// Owner is the workload as people know it ("web", from the Deployment, StatefulSet, DaemonSet, Job or the pod's own name).
	Owner     string
	OwnerKind string
	Node      string
	Zone      string
	// Protocols is what Services that select this pod declare about its ports.
	Protocols map[uint16]Protocol
}
