package config

import (
	"math"
	"slices"
	"strings"
)

// Share is one destination of connections that are relayed as they are.
type Share struct {
	// Cluster is empty where no valid backend stands: the connections that the weight gives to it are refused.
	Cluster string
	Weight  uint32
}

// SNIRule says who takes the TLS connections for some server names.
type SNIRule struct {
	Origin Origin
	// Names are in lower case: "www.example.com", or "*.example.com" for all names with one or more labels before
	// ".example.com". Empty: whatever no other rule takes, and clients that name no server.
	Names  []string
	Shares []Share
}

// References names the clusters that a listener sends connections to, sorted, each once. Its routes refer to more.
func (l *Listener) References() []string {
	names := []string{l.Cluster}
	add := func(shares []Share) {
		for _, s := range shares {
			names = append(names, s.Cluster)
		}
	}
	add(l.Shares)
	for _, r := range l.SNI {
		add(r.Shares)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if names[0] == "" {
		names = names[1:]
	}
	return names
}

// decodeTCP reads a TcpProxy: one cluster, or several by weight.
func decodeTCP(m *message) []Share {
	m.ignore(1) // stat_prefix
	var shares []Share
	if weighted := m.sub(10, "weighted_clusters"); weighted != nil {
		for _, c := range weighted.subs(1, "clusters") {
			shares = append(shares, share(c, c.text(1, "name"), c.number(2, "weight")))
			c.done()
		}
		weighted.done()
	} else {
		shares = []Share{share(m, m.text(2, "cluster"), 1)}
	}
	if len(shares) == 0 {
		m.fail("field weighted_clusters is empty")
	}
	m.done()
	return shares
}

// share checks one destination.
func share(m *message, cluster string, weight uint64) Share {
	switch cluster {
	case "":
		m.fail("names no cluster")
	case failCluster:
		cluster = ""
	}
	if weight == 0 || weight > math.MaxUint32 {
		m.fail("field weight is %d: it must be from 1 to %d", weight, uint32(math.MaxUint32))
	}
	return Share{Cluster: cluster, Weight: uint32(weight)}
}

// decodeSNI reads a chain that takes TLS connections by server name.
func decodeSNI(chain *message) SNIRule {
	rule := SNIRule{Origin: chain.filterMetadata(5).origin()}
	chain.ignore(7) // name
	match := chain.sub(1, "filter_chain_match")
	rule.Names = match.texts(11, "server_names")
	if t := match.text(9, "transport_protocol"); t != "tls" {
		// Without it Envoy gives connections that are no TLS to a chain without names.
		chain.fail(`field filter_chain_match.transport_protocol is %q: beside server names this proxy supports "tls"`, t)
	}
	match.done()
	checkNames(chain, rule.Names)
	kind, config := chain.oneFilter()
	if kind != tcpProxy {
		chain.fail("is a %q, which this proxy does not support for TLS", kind)
	}
	rule.Shares = decodeTCP(config)
	chain.done()
	return rule
}

// distinct refuses rules whose names overlap: which one applies would depend on their order, which Envoy refuses too.
func distinct(m *message, rules []SNIRule) {
	known := map[string]bool{}
	for _, r := range rules {
		names := r.Names
		if len(names) == 0 {
			names = []string{""}
		}
		for _, name := range names {
			if known[name] {
				m.fail("has two filter_chains for the server name %q", name)
			}
			known[name] = true
		}
	}
}

// validServerName tells whether a name can be in a ClientHello (RFC 6066, section 3: ASCII, no dot at the end), or is a
// wildcard for such names.
func validServerName(name string) bool {
	name = strings.TrimPrefix(name, "*.")
	if name == "" || len(name) > maxHostName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || 'z' < c) && (c < '0' || '9' < c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
