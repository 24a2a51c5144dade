package config

import (
	"net"
	"net/netip"
	"strings"
)

// decodeByName reads the rest of a listener for any address at a port: chains that take TLS by server name, and one for HTTP, whose
// table knows hosts. There is none for what names nobody.
func decodeByName(m *message, l *Listener) {
	for i, f := range m.subs(9, "listener_filters") {
		inspector := tlsInspector
		if i > 0 {
			inspector = httpInspector
		}
		f.typed(3, inspector).done()
	}
	for _, chain := range m.subs(3, "filter_chains") {
		if chain.sub(1, "filter_chain_match").has(11) { // server_names
			l.SNI = append(l.SNI, decodeSNI(chain))
			continue
		}
		if l.Routes != "" {
			chain.fail("is another chain for HTTP")
		}
		decodeChain(chain, l)
	}
	distinct(m, l.SNI)
	if l.Cluster != "" || len(l.Shares) > 0 || l.Protocol != Detect || l.Edge {
		m.fail("has by_name in its metadata %s, and something that takes connections without a name", keyListener)
	}
	if l.Routes == "" {
		m.fail("has no chain for HTTP")
	}
	m.ignore(
		2,  // address: any, at the port that the name tells
		15, // listener_filters_timeout
		26, // bind_to_port
	)
	m.done()
}

// outboundPolicy reads a policy; Allow where there is none.
func (o *object) outboundPolicy(key string) OutboundPolicy {
	switch p := OutboundPolicy(o.text(key)); p {
	case OutboundAllow, OutboundDeny, OutboundRegistryOnly:
		return p
	case "":
		return OutboundAllow
	default:
		o.fail("%s is %q, which is no policy", key, p)
		return OutboundDeny
	}
}

// HostName is the name in an authority or a ClientHello, without its port and in lower case; "" for addresses and whatever else could
// not be the hostname of an XBackend.
func HostName(authority string) string {
	name := authority
	if host, _, err := net.SplitHostPort(authority); err == nil {
		name = host
	}
	if len(name) > maxHostName {
		return ""
	}
	name = strings.Map(func(c rune) rune { // of ASCII only: other letters must not become letters of a name
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, name)
	if _, err := netip.ParseAddr(name); err == nil || strings.HasPrefix(name, "*") || !validServerName(name) {
		return ""
	}
	return name
}

// maxHostName is the length of the longest name in DNS, without the dot at its end.
const maxHostName = 253
