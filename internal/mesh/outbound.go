package mesh

import (
	"net/netip"
	"strconv"
)

// OutboundPolicy says what happens to connections to addresses that the mesh does not know.
type OutboundPolicy string

// The outbound policies.
const (
	OutboundAllow OutboundPolicy = "Allow" // they pass as they are
	OutboundDeny  OutboundPolicy = "Deny"  // they are closed
	// OutboundRegistryOnly closes them, but for those that name the host of an XBackend of the client's namespace.
	OutboundRegistryOnly OutboundPolicy = "RegistryOnly"
)

// Registry is where hosts are registered: by the XBackends of one namespace, for its own sidecars, at one port.
type Registry struct {
	Namespace string
	Port      uint16
}

// String is "namespace:port".
func (r Registry) String() string { return r.Namespace + ":" + strconv.Itoa(int(r.Port)) }

// Sighting is a connection to an address that the mesh does not know.
type Sighting struct {
	Pod Name // whose application made it
	To  netip.AddrPort
	// Host is what the client named, under OutboundRegistryOnly; "" where it named none, or nothing that could be registered.
	Host   string
	Policy OutboundPolicy
}
