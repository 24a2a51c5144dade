package config

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Full names of the messages that say how a gateway speaks TLS.
const (
	downstreamTLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
	upstreamTLS   = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
)

// GatewayPrefix begins the names of a gateway's listeners for connections, "gateway/443".
const GatewayPrefix = "gateway/"

// Port is a port that a gateway opens for connections.
type Port struct {
	Name   string // "gateway/443"
	Number uint16
	// Plain serves connections as they come. nil: connections must begin with TLS, and Chains serve them.
	Plain *Listener
	// Chains serve TLS connections by the server name that the client asks for; a name that none of them takes is refused.
	Chains []Chain
}

// Chain is who serves the TLS connections for some server names.
type Chain struct {
	// Names are as in SNIRule.
	Names []string
	// TLS is how the connection is terminated; nil: it passes through.
	TLS      *Termination
	Listener *Listener
}

// Key tells the chains of a port apart.
func (c *Chain) Key() string {
	if len(c.Names) == 0 {
		return ""
	}
	return c.Names[0]
}

// Termination is the server's end of a TLS connection.
type Termination struct {
	// Certificates names the certificates to choose from; the first one that fits what the client asks for, else the first.
	Certificates []string
	// Clients names the roots that clients are verified with; empty: none is asked for a certificate.
	Clients string
	// Fallback lets clients in that show no certificate, or one that cannot be verified.
	Fallback bool
	ALPN     []string
}

// listeners are all that a port leads to.
func (p *Port) listeners() []*Listener {
	var all []*Listener
	if p.Plain != nil {
		all = append(all, p.Plain)
	}
	for i := range p.Chains {
		all = append(all, p.Chains[i].Listener)
	}
	return all
}

// References names the clusters that a port sends connections to, sorted, each once. Its tables refer to more.
func (p *Port) References() []string {
	var names []string
	for _, l := range p.listeners() {
		names = append(names, l.References()...)
	}
	return unique(names)
}

// Tables names the route tables of a port, sorted, each once.
func (p *Port) Tables() []string {
	var names []string
	for _, l := range p.listeners() {
		if l.Routes != "" {
			names = append(names, l.Routes)
		}
	}
	return unique(names)
}

// Secrets names the certificates and roots of a port, sorted, each once.
func (p *Port) Secrets() []string {
	var names []string
	for i := range p.Chains {
		if t := p.Chains[i].TLS; t != nil {
			names = append(names, t.Certificates...)
			if t.Clients != "" {
				names = append(names, t.Clients)
			}
		}
	}
	return unique(names)
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// decodePort reads an envoy.config.listener.v3.Listener of a gateway: one chain for connections as they come, or chains that take
// TLS by server name.
func decodePort(name string, body []byte) (*Port, error) {
	p := &Port{Name: name}
	err := read(body, func(m *message) {
		m.named("name", name)
		md := m.filterMetadata(6)
		origin := md.origin()
		facts := md[keyListener]
		service := facts.text("service")
		facts.done()
		p.Number = decodeSocket(m, addressTCP).Port()
		if GatewayPrefix+strconv.Itoa(int(p.Number)) != name {
			m.fail("field address has port %d: the name says another", p.Number)
		}
		for _, f := range m.subs(9, "listener_filters") {
			f.typed(3, tlsInspector).done()
		}
		for _, chain := range m.subs(3, "filter_chains") {
			l := &Listener{Name: name, Origin: origin, Service: service}
			decodeGatewayChain(chain, l, p)
		}
		if (p.Plain != nil) == (len(p.Chains) > 0) {
			m.fail("has not either one chain for all connections, or chains for TLS")
		}
		var names []SNIRule
		for i := range p.Chains {
			names = append(names, SNIRule{Names: p.Chains[i].Names})
		}
		distinct(m, names)
		m.done()
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// decodeGatewayChain reads one chain into p.
func decodeGatewayChain(m *message, l *Listener, p *Port) {
	m.ignore(7) // name
	if from := m.filterMetadata(5).origin(); from != (Origin{}) {
		l.Origin = from
	}
	match := m.sub(1, "filter_chain_match")
	names, transport := match.texts(11, "server_names"), match.text(9, "transport_protocol")
	match.done()
	checkNames(m, names)
	termination := decodeTermination(m.sub(6, "transport_socket"))
	switch kind, config := m.oneFilter(); kind {
	case connectionManager:
		l.Protocol = HTTP
		decodeManager(config, l)
		if l.Routes == "" {
			config.fail("has no rds: a gateway's requests go by a table")
		}
		if !l.Edge {
			config.fail("field use_remote_address is not set: a gateway believes its clients nothing")
		}
	case tcpProxy:
		l.Protocol = TCP
		l.Shares = decodeTCP(config)
	default:
		m.fail("filters[0]: is a %q, which this proxy does not support", kind)
	}
	switch {
	case transport == "" && len(names) == 0 && termination == nil && p.Plain == nil:
		p.Plain = l
	case transport == "tls":
		if l.Protocol == HTTP && termination == nil {
			m.fail("serves HTTP in TLS without a transport_socket")
		}
		if l.Protocol == TCP && termination == nil {
			l.Protocol = TLS
		}
		p.Chains = append(p.Chains, Chain{Names: names, TLS: termination, Listener: l})
	default:
		m.fail(`field filter_chain_match is neither the only one without anything, nor one with transport_protocol "tls"`)
	}
	m.done()
}

func checkNames(m *message, names []string) {
	for _, name := range names {
		if !validServerName(name) {
			m.fail("field filter_chain_match.server_names has %q, which is no host name in lower case, or *. and one", name)
		}
	}
}

// acceptUntrusted is CertificateValidationContext.TrustChainVerification.ACCEPT_UNTRUSTED.
const acceptUntrusted = 1

// decodeTermination reads a TransportSocket with a DownstreamTlsContext; nil from nil.
func decodeTermination(socket *message) *Termination {
	if socket == nil {
		return nil
	}
	t := &Termination{}
	context := socket.typed(3, downstreamTLS)
	required := context.wrapped(2, "require_client_certificate") != 0
	common := context.sub(1, "common_tls_context")
	t.ALPN = common.texts(4, "alpn_protocols")
	t.Certificates = common.secretNames(6, "tls_certificate_sds_secret_configs")
	if len(t.Certificates) == 0 {
		context.fail("names no certificate")
	}
	if combined := common.sub(8, "combined_validation_context"); combined != nil {
		defaults := combined.sub(1, "default_validation_context")
		t.Fallback = defaults.number(10, "trust_chain_verification") == acceptUntrusted
		defaults.done()
		if roots := combined.secretNames(2, "validation_context_sds_secret_config"); len(roots) == 1 {
			t.Clients = roots[0]
		} else {
			combined.fail("names no roots")
		}
		combined.done()
	}
	if required == (t.Clients == "" || t.Fallback) {
		context.fail("field require_client_certificate is %t, which the validation of clients does not go with", required)
	}
	common.done()
	context.done()
	return t
}

// secretNames reads SdsSecretConfigs.
func (m *message) secretNames(number protowire.Number, label string) []string {
	var names []string
	for _, one := range m.subs(number, label) {
		name := one.text(1, "name")
		one.ignore(2) // sds_config: always the stream it came by
		if !strings.HasPrefix(name, CertificatePrefix) && !strings.HasPrefix(name, ClientRootsPrefix) {
			one.fail("field name is %q, which this proxy does not support", name)
		}
		names = append(names, name)
		one.done()
	}
	return names
}

// The protocols of a SocketAddress.
const (
	addressTCP = 0
	addressUDP = 1
)

// decodeSocket reads the address of a listener that is opened.
func decodeSocket(m *message, protocol uint64) netip.AddrPort {
	outer := m.sub(2, "address")
	socket := outer.sub(1, "socket_address")
	if p := socket.number(1, "protocol"); p != protocol {
		socket.fail("field protocol is %d, not %d", p, protocol)
	}
	ip, err := netip.ParseAddr(socket.text(2, "address"))
	port := socket.number(3, "port_value")
	if err != nil || port == 0 || port > math.MaxUint16 {
		socket.fail("is not an IP address and a port from 1 to 65535")
	}
	if both := socket.flag(6, "ipv4_compat"); both && !ip.Is6() {
		socket.fail("field ipv4_compat is set beside an address that is not of IPv6")
	}
	if socket == nil {
		m.fail("field address.socket_address is missing")
	}
	socket.done()
	outer.done()
	return netip.AddrPortFrom(ip, uint16(port))
}
