// Package capture brings an application's TCP connections to the proxy: nftables rules that redirect them, and the
// question where a redirected connection wanted to go. It is the proxy's only platform code. The rules are plain data;
// [Netlink] puts them into the kernel, [Memory] is its twin for tests.
package capture

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// maxExclusions bounds each list of exclusions: every entry costs each new connection a comparison.
const maxExclusions = 256

// Settings say what is captured.
type Settings struct {
	// ProxyUID is the user the proxy runs as; what it sends is not captured. Must not be 0: root is not a user of its own.
	ProxyUID     uint32
	OutboundPort uint16
	InboundPort  uint16
	// OwnPorts take connections from outside directly (health and metrics).
	OwnPorts []uint16
	// Connections that stay as they are.
	ExcludeOutboundPorts []uint16
	ExcludeOutboundCIDRs []netip.Prefix
	ExcludeInboundPorts  []uint16
}

// Table is one nftables table of family inet (IPv4 and IPv6). It is replaced as a whole.
type Table struct {
	Name   string
	Chains []Chain
}

// Chain is a base chain of type nat.
type Chain struct {
	Name string
	Hook Hook
	// Rules are tried in order, the first that matches decides; what matches none goes on unchanged.
	Rules []Rule
}

// Hook is where in a packet's way a chain stands.
type Hook string

// The hooks in use. Both chains have priority dstnat (-100).
const (
	Output     Hook = "output"     // from processes of this network namespace
	Prerouting Hook = "prerouting" // from outside
)

// Rule matches when all its set fields do, and then redirects or leaves the connection alone.
type Rule struct {
	UID       uint32       // owner of the socket; 0: any
	Interface string       // leaving (output) or entering (prerouting) interface; empty: any
	To        netip.Prefix // destination; zero: any
	Port      uint16       // TCP destination port; 0: any
	// Redirect is the local TCP port that gets the connection; 0: leave it alone.
	Redirect uint16
	Why      string // comment, shown by nft
}

// TableName is the name of the one table that belongs to Leno.
const TableName = "leno"

// Ruleset makes the rules. The same settings give the same rules, in the same order.
func Ruleset(s Settings) (Table, error) {
	if s.ProxyUID == 0 {
		return Table{}, fmt.Errorf("proxy user id 0: give the proxy a user of its own, or it would capture itself")
	}
	if s.OutboundPort == 0 || s.InboundPort == 0 {
		return Table{}, fmt.Errorf("proxy ports %d and %d: both must be set", s.OutboundPort, s.InboundPort)
	}
	for name, n := range map[string]int{
		"outbound ports": len(s.ExcludeOutboundPorts), "outbound CIDRs": len(s.ExcludeOutboundCIDRs), "inbound ports": len(s.ExcludeInboundPorts),
	} {
		if n > maxExclusions {
			return Table{}, fmt.Errorf("%d excluded %s: at most %d are possible; use CIDRs, or do not inject the pod", n, name, maxExclusions)
		}
	}
	return Table{Name: TableName, Chains: []Chain{outbound(s), inbound(s)}}, nil
}

func outbound(s Settings) Chain {
	rules := []Rule{
		{UID: s.ProxyUID, Why: "what the proxy sends"},
		{Interface: "lo", Why: "to an own address: stays in the pod"},
		{To: netip.MustParsePrefix("127.0.0.0/8"), Why: "loopback"},
		{To: netip.MustParsePrefix("::1/128"), Why: "loopback"},
	}
	for _, prefix := range prefixes(s.ExcludeOutboundCIDRs) {
		rules = append(rules, Rule{To: prefix, Why: "excluded by annotation"})
	}
	for _, port := range ports(s.ExcludeOutboundPorts) {
		rules = append(rules, Rule{Port: port, Why: "excluded by annotation"})
	}
	return Chain{Name: "outbound", Hook: Output, Rules: append(rules, Rule{Redirect: s.OutboundPort, Why: "to the proxy"})}
}

func inbound(s Settings) Chain {
	rules := []Rule{{Interface: "lo", Why: "from the pod itself"}}
	for _, port := range ports(s.OwnPorts) {
		rules = append(rules, Rule{Port: port, Why: "health and metrics of the proxy"})
	}
	for _, port := range ports(s.ExcludeInboundPorts) {
		rules = append(rules, Rule{Port: port, Why: "excluded by annotation"})
	}
	return Chain{Name: "inbound", Hook: Prerouting, Rules: append(rules, Rule{Redirect: s.InboundPort, Why: "to the proxy"})}
}

func ports(list []uint16) []uint16 {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func prefixes(list []netip.Prefix) []netip.Prefix {
	var sorted []netip.Prefix
	for _, p := range list {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(sorted)
}
