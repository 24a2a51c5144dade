package mesh

import "net/netip"

// Gateway is one Gateway, with the listeners of its ListenerSets: what its proxies listen on and where that leads. Listeners that
// are not in effect are not in it.
type Gateway struct {
	Name
	Origin Origin
	// ServiceAccount of its proxies, in the Gateway's namespace; Identity is the SPIFFE id that follows from it.
	ServiceAccount string
	Identity       string
	// Ports are ascending by number, TCP before UDP.
	Ports []GatewayPort
	// ClientCertificate is shown to backends that are spoken to in TLS; nil: none (Gateway.spec.tls.backend).
	ClientCertificate *Certificate
	// Infrastructure is what its proxies run on.
	Infrastructure Infrastructure
}

// Infrastructure is what a gateway's owner asks for beyond listeners (Gateway.spec.infrastructure, spec.addresses).
type Infrastructure struct {
	// UID of the Gateway object, which owns what is made for it; Class is the name of its GatewayClass.
	UID   string
	Class string
	// Labels and Annotations go onto everything that is made.
	Labels      map[string]string
	Annotations map[string]string
	Parameters  Parameters
	// Held tells that parameters are referred to which cannot be read: what the Gateway has stays as it is until they can.
	Held bool
	// Addresses that are asked for from the cluster's load balancer; empty: any.
	Addresses []netip.Addr
	// ClusterOnly tells that only addresses of the cluster's own are asked for (routability Cluster), none of a load balancer.
	ClusterOnly bool
	// ClusterAddresses are the ClusterIPs that are asked for, at most one of each family; empty: any.
	ClusterAddresses []netip.Addr
}

// GatewayPort is one port of a gateway.
type GatewayPort struct {
	Number uint16
	// UDP tells that the port is one for datagrams.
	UDP bool
	// Listeners share the port by host name, the most specific one first: HTTP listeners by Host, HTTPS and TLS listeners by the
	// server name that a client asks for. There is exactly one for TCP and for UDP.
	Listeners []*Listener
}

// ListenerProtocol is what a gateway's listener speaks (Gateway API, ProtocolType).
type ListenerProtocol string

// The protocols of listeners.
const (
	ListenerHTTP  ListenerProtocol = "HTTP"  // HTTP/1.1 and h2c, by the first bytes
	ListenerHTTPS ListenerProtocol = "HTTPS" // HTTP/1.1 and HTTP/2 by ALPN, TLS terminated
	ListenerTLS   ListenerProtocol = "TLS"   // passed through, or terminated and relayed
	ListenerTCP   ListenerProtocol = "TCP"
	ListenerUDP   ListenerProtocol = "UDP"
)

// Listener is one listener of a Gateway or ListenerSet.
type Listener struct {
	// Origin is the Gateway or ListenerSet; its Rule is the listener's name.
	Origin   Origin
	Protocol ListenerProtocol
	// Hostname is in lower case: "" for any, "*.example.com" for names with any number of labels in front, or one name.
	Hostname string
	// TLS is how connections are terminated (HTTPS; TLS in mode Terminate). Without, TLS passes through.
	TLS *Termination
	// Hosts (HTTP, HTTPS) are where requests go by host name, the most specific name first. A request for a host that none of
	// them matches is answered 404.
	Hosts []Host
	// Servers (TLS) are where connections go by server name, the most specific name first; a name that none matches is refused.
	Servers []Server
	// Split (TCP, UDP) is where connections and sessions go; nil: nowhere, connections are refused and datagrams dropped.
	Split *Split
}

// Host is the routes of one host name of a listener.
type Host struct {
	// Name is as Listener.Hostname.
	Name string
	// Filters are the listener's: who is asked, in this order, before routes are matched (ListenerFilters, GEP-5224).
	Filters []*ExternalAuth
	// Routes is never nil; a table without entries answers 404.
	Routes *RouteTable
}

// Server is where TLS connections that ask for a name go.
type Server struct {
	// Name is as Listener.Hostname; "" takes clients that name no server, too.
	Name  string
	Split *Split
}

// Split spreads connections, or sessions of datagrams, over backends by weight.
type Split struct {
	Origin   Origin
	Backends []SplitBackend
}

// SplitBackend is one destination of a Split.
type SplitBackend struct {
	Service ServicePort
	Weight  uint32
	// Fail refuses the connections that the weights give to this backend; nil for a valid backend.
	Fail *Failure
}

// Termination is how a listener terminates TLS.
type Termination struct {
	// Certificates, at least one; of several, the first whose names match what the client asks for is taken, else the first.
	Certificates []*Certificate
	// Clients says which certificates clients must show; nil: none is asked for.
	Clients *ClientValidation
}

// ClientValidation is what clients of a listener must prove.
type ClientValidation struct {
	// Roots are the authorities, in PEM. Without any that can be read, no client is let in.
	Roots []byte
	// Fallback lets clients in that show no certificate, or one that is not valid (AllowInsecureFallback).
	Fallback bool
}

// Certificate is a certificate with its private key.
type Certificate struct {
	// Name is that of the Secret.
	Name  Name
	Chain []byte // PEM, the leaf first
	Key   Key    // PEM
}

// Key is a private key. It shows itself to nobody: %v and logs get a word instead.
type Key []byte

// String hides the key.
func (Key) String() string { return "(private key)" }

// GoString hides the key.
func (Key) GoString() string { return "(private key)" }

// MarshalJSON hides the key.
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"(private key)"`), nil }

// BackendTLS is how gateways speak TLS to the endpoints of a service port (BackendTLSPolicy).
type BackendTLS struct {
	Origin Origin
	// Hostname is the server name that is asked for, and, without SANs, the one that the certificate must have.
	Hostname string
	// SANs are the names of which the certificate must have one.
	SANs []SAN
	// Roots are the authorities, in PEM; nil: those of the system.
	Roots []byte
	// Certificate is shown to the endpoints of an XBackend; nil: that of the gateway, if it has one.
	Certificate *Certificate
	// Fail answers requests for the port: the policy is not valid, and speaking plain text instead would betray its author.
	Fail *Failure
}

// SAN is a subject alternative name: exactly one part is set.
type SAN struct {
	DNS string // "*.example.com" stands for one label, as in certificates
	URI string
}
