package xds

import (
	"net/netip"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leno-mesh/leno/internal/mesh"
)

// nameWait is how long a client may take to name a host: nobody else has the first word.
const nameWait = 5 * time.Second

// catchAll is the listener for addresses that the mesh does not know, for the sidecars of a namespace: what names one of its hosts
// goes there, and nowhere else; nil where it has none at that port. TLS goes by the name in its ClientHello, HTTP by the host of each
// request, and whatever is neither has no chain and is refused.
func catchAll(m *mesh.Mesh, namespace string, dst netip.AddrPort) *listenerv3.Listener {
	hosts := m.Registered[mesh.Registry{Namespace: namespace, Port: dst.Port()}]
	if len(hosts) == 0 {
		return nil
	}
	name := ListenerName(dst)
	l := &listenerv3.Listener{
		Name:                   name,
		Address:                address(dst),
		BindToPort:             wrapperspb.Bool(false), // connections come by redirection
		ListenerFilters:        []*listenerv3.ListenerFilter{tlsInspector(), httpInspector()},
		ListenerFiltersTimeout: durationpb.New(nameWait), // then the connection is closed
		Metadata: metadata{}.set(KeyOrigin, origin(m.Settings.Origin)).
			set(KeyListener, fields{}.flag("by_name", true)).proto(),
	}
	for _, to := range hosts {
		s, port := servicePort(m, to)
		host := port.Hostname
		chain := tcp(ClusterName(to))
		chain.Name = host
		chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls", ServerNames: []string{host}}
		chain.Metadata = metadata{}.set(KeyOrigin, origin(s.Origin)).proto()
		l.FilterChains = append(l.FilterChains, chain)
	}
	hcm := connectionManager(name)
	hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
		ConfigSource: ads(), RouteConfigName: RegisteredRouteName(namespace, dst.Port()),
	}}
	chain := networkFilter("envoy.filters.network.http_connection_manager", hcm)
	chain.FilterChainMatch = &listenerv3.FilterChainMatch{ApplicationProtocols: []string{"http/1.0", "http/1.1", "h2c"}}
	l.FilterChains = append(l.FilterChains, chain)
	return l
}

// registeredRoutes is the table of a catch-all listener: each request goes by its own host.
func registeredRoutes(m *mesh.Mesh, who mesh.Name, name string) *routev3.RouteConfiguration {
	namespace, number, ok := parseRegisteredRoute(name)
	if !ok || namespace != who.Namespace {
		return nil
	}
	hosts := m.Registered[mesh.Registry{Namespace: namespace, Port: number}]
	if len(hosts) == 0 {
		return nil
	}
	table := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	for _, to := range hosts {
		s, port := servicePort(m, to)
		rule := &mesh.Rule{Origin: s.Origin, Backends: []mesh.Backend{{Service: to, Weight: 1}}}
		table.VirtualHosts = append(table.VirtualHosts, virtualHost(m, port.Hostname, &mesh.RouteTable{Entries: []mesh.Entry{{Rule: rule}}}))
	}
	return table
}
