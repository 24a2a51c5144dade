// Package config is what a proxy is told to do, in its own structs. It decodes xDS resources into them and checks them;
// no protobuf leaves this package. Every value is immutable once it was handed out.
package config

import (
	"net/netip"
	"time"
)

// Config is one complete, consistent configuration. A new one replaces it as a whole; values that did not change keep
// their pointers, so that whoever compiled something from one may keep it.
type Config struct {
	// Outbound holds a listener for each destination that was asked for. A nil value: the control plane knows no such
	// destination, so the outbound policy decides.
	Outbound map[netip.AddrPort]*Listener
	// Inbound is nil until the first answer of the control plane.
	Inbound *Inbound
	// Ports are what a gateway opens, by number.
	Ports map[uint16]*Port
	// Waiting is how many ports and sockets of a gateway were told, but lack something that is still on its way.
	Waiting int
	// Certificates and Roots of a gateway, by name. A name that is not there is one that the control plane does not have.
	Certificates map[string]*Certificate
	Roots        map[string]*Roots
	// Datagrams holds the sockets for datagrams of a gateway.
	Datagrams map[netip.AddrPort]*Datagram
	// Clusters by name, each with its current endpoints.
	Clusters map[string]*Cluster
	// Routes by name; listeners refer to them.
	Routes map[string]*RouteTable
	// Policy is for unknown destinations.
	Policy    OutboundPolicy
	AccessLog bool
}

// OutboundPolicy says what happens to connections to destinations that the control plane does not know.
type OutboundPolicy string

// The outbound policies.
const (
	OutboundAllow OutboundPolicy = "Allow" // they pass as they are, as without any policy
	OutboundDeny  OutboundPolicy = "Deny"  // they are closed
	// OutboundRegistryOnly gives them to the listener that takes any address (CatchAll): they go by the host that they name.
	OutboundRegistryOnly OutboundPolicy = "RegistryOnly"
)

// Closes tells whether there are such connections that do not pass.
func (p OutboundPolicy) Closes() bool { return p == OutboundDeny || p == OutboundRegistryOnly }

// Origin names the object that a piece of configuration was made from ("HTTPRoute shop/cart rule canary").
type Origin struct {
	Kind, Namespace, Name string
	Rule                  string
	Generation            int64
}

// Protocol is what a listener's traffic is known to be before the first byte.
type Protocol string

// The protocols; Detect means: look at the first bytes.
const (
	Detect Protocol = ""
	HTTP   Protocol = "HTTP"
	HTTP2  Protocol = "HTTP2"
	TLS    Protocol = "TLS"
	TCP    Protocol = "TCP"
	UDP    Protocol = "UDP" // of datagrams, which no listener for connections has
)

// Listener is where connections of one kind go: those to one destination that the application dials, or a part of those that
// come to a port of a gateway.
type Listener struct {
	Name     string // xDS name, "outbound/10.96.0.10:80"
	Origin   Origin
	Protocol Protocol
	// Routes names the table for HTTP requests; empty: each request goes to Cluster.
	Routes string
	// Cluster takes whatever is not HTTP, and HTTP where Routes is empty. It may be empty where Shares or SNI say all.
	Cluster string
	// Shares spreads connections that are relayed as they are over several clusters; empty: Cluster takes them.
	Shares []Share
	// SNI, for TLS, says who takes a connection by the server name that its client asks for; a name that no rule takes is
	// refused. Empty: the server name makes no difference.
	SNI []SNIRule
	// Service is the destination as people know it, "namespace/name:port"; empty for a pod address.
	Service string
	// MaxRequestBody bounds request bodies, in bytes; 0: no limit.
	MaxRequestBody int64
	// Edge tells that clients are from outside of the mesh: believed nothing about where a request came from, and their paths
	// are made normal.
	Edge bool
	// ByName tells that the listener is for any address at its port: TLS goes by SNI, each HTTP request by the hosts of Routes, and
	// nothing else is let through.
	ByName bool
}

// Inbound is how a sidecar receives.
type Inbound struct {
	Name   string
	Origin Origin
	// Strict refuses everything but mutual TLS.
	Strict bool
	// Protocols of the pod's own ports, as Services declare them; absent ports are detected.
	Protocols map[uint16]Protocol
	// Workload is who receives, for metrics.
	Workload Workload
	// MaxRequestBody bounds request bodies, in bytes; 0: no limit.
	MaxRequestBody int64
}

// Workload names a pod's owner in metrics and logs.
type Workload struct {
	Namespace string
	Name      string // "web"
	Pod       string
	Service   string // "namespace/name" when known
	Identity  string // SPIFFE id
}

// RouteTable is everything attached to one frontend in order of precedence: the first entry that matches wins, none: 404.
type RouteTable struct {
	Name    string
	Version string
	Entries []Entry
	// Hosts divide Entries by the host that a request is for, in consecutive runs; nil: all entries are for any host.
	Hosts []Host
}

// Host is a run of entries.
type Host struct {
	// Names are in lower case: "www.example.com", "*.example.com" for all names with one or more labels before ".example.com",
	// or "*" for what no other host takes, and requests that name no host.
	Names []string
	// Entries is how many of the table's.
	Entries int
	// Filters are asked, in this order, before entries are matched (GEP-5224).
	Filters []*ExternalAuth
}

// Entry is one match and what happens to the request.
type Entry struct {
	Match  Match
	Action *Action
}

// PathKind says how Match.Path is compared.
type PathKind uint8

// The kinds of path match.
const (
	PathAny    PathKind = iota
	PathPrefix          // whole path elements: /a matches /a and /a/b, not /ab
	PathExact
	PathRegex // RE2 on the whole path
)

// Match is met when all its parts are.
type Match struct {
	PathKind PathKind
	Path     string
	Method   string
	Headers  []ValueMatch // names in lower case
	Query    []ValueMatch
}

// ValueMatch compares one header field or query parameter.
type ValueMatch struct {
	Name  string
	Regex bool // RE2 on the whole value
	Value string
}

// Action is what happens to a selected request: Fail, else what CORS and ExternalAuth answer, else Redirect, else one of Backends by
// weight.
type Action struct {
	Origin          Origin
	RequestHeaders  *HeaderChange
	ResponseHeaders *HeaderChange
	Redirect        *Redirect
	Rewrite         *Rewrite
	Mirrors         []Mirror
	Backends        []Backend // total weight 0: 500
	Timeout         time.Duration
	BackendTimeout  time.Duration
	Retry           *Retry // nil: only where it is certain that no backend has seen the request
	CORS            *CORS
	ExternalAuth    *ExternalAuth
	Persistence     *Persistence // nil: each request is on its own
	Fail            *Failure
}

// Retry says when a request is sent again, beyond that: where no backend took it, after an attempt that took longer than
// BackendTimeout, or an answer with one of Statuses.
type Retry struct {
	Attempts uint32 // after the first one
	Statuses []int
	Backoff  time.Duration // before the first retry; 0: the proxy's choice
}

// CORS says which origins' scripts may use the responses; "*" alone in a list is everything.
type CORS struct {
	Origins, Methods, Headers, Expose []string
	Credentials                       bool
	MaxAge                            uint32 // seconds
}

// Failure is an answer that stands for a configuration mistake.
type Failure struct {
	Status int
	Reason string
	// Message is for the access log and explanations, not for the client.
	Message string
}

// HeaderChange is applied in the order remove, set, add. Names are in lower case.
type HeaderChange struct {
	Set    []Header
	Add    []Header
	Remove []string
}

// Header is one field.
type Header struct{ Name, Value string }

// Redirect answers with a Location; empty parts come from the request.
type Redirect struct {
	Scheme   string
	Hostname string
	Port     uint16
	Path     *PathChange
	Status   int
}

// Rewrite changes the request towards the backend.
type Rewrite struct {
	Hostname string
	Path     *PathChange
}

// PathChange replaces the whole path (Full) or the matched prefix (Prefix); exactly one is set. The query stays.
type PathChange struct {
	Full   *string
	Prefix *string
}

// Mirror copies Numerator of Denominator requests to Cluster.
type Mirror struct {
	Cluster     string
	Numerator   uint32
	Denominator uint32
}

// Backend is one destination of an action.
type Backend struct {
	Cluster         string
	Weight          uint32
	RequestHeaders  *HeaderChange
	ResponseHeaders *HeaderChange
	Redirect        *Redirect
	Rewrite         *Rewrite
	Mirrors         []Mirror
	Fail            *Failure // answers the requests that the weights give to this backend
}

// Cluster is a group of equal endpoints.
type Cluster struct {
	Name    string // "shop/cart:80" or "10.244.0.7:8080" for one pod
	Version string
	Origin  Origin
	// Service is "namespace/name:port", for metrics.
	Service  string
	Protocol Protocol
	// HTTP is the version that the endpoints are spoken to in.
	HTTP HTTPVersion
	// TLS is how a gateway speaks to the application behind the endpoints; nil: as Endpoint.Identity says alone.
	TLS *BackendTLS
	// Fail answers all requests that would go to the cluster.
	Fail *Failure
	// Persistence keeps clients at an endpoint where no rule says how; nil: each request is on its own.
	Persistence *Persistence
	// RetryBudget bounds the retries that rules ask for; nil: nothing but each rule does.
	RetryBudget *RetryBudget
	// DNS is asked for the endpoints; nil: the control plane tells them.
	DNS       *DNS
	Endpoints []Endpoint // ready ones; or terminating ones that still serve, when nothing is ready
}

// DNS is a name whose addresses, at a port, are endpoints.
type DNS struct {
	Host    string // in lower case, without a dot at its end
	Port    uint16
	Refresh time.Duration // how often it is asked again
}

// RetryBudget bounds retries: within Interval they may be Percent of all requests, and in any case MinRetries within MinInterval.
type RetryBudget struct {
	Percent     uint32
	Interval    time.Duration
	MinRetries  uint32
	MinInterval time.Duration
}

// HTTPVersion says which version of HTTP a cluster's endpoints get.
type HTTPVersion uint8

// The versions.
const (
	SameHTTP  HTTPVersion = iota // what the client speaks
	HTTP1Only                    // HTTP/1.1
	HTTP2Only                    // HTTP/2, by prior knowledge
)

// Endpoint is one address of a cluster.
type Endpoint struct {
	Address netip.AddrPort
	// Identity is the SPIFFE id the peer must prove; empty: plain text.
	Identity string
	Zone     string
	Workload Workload
	// TLS is that of the cluster. With an identity, it goes through the mutual TLS to the application.
	TLS *BackendTLS
}
