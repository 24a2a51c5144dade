package capture_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/capture"
)

func settings() capture.Settings {
	return capture.Settings{
		ProxyUID: 15015, OutboundPort: 15001, InboundPort: 15006, OwnPorts: []uint16{15020},
		ExcludeOutboundPorts: []uint16{5432, 25, 25},
		ExcludeOutboundCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:1::7/64"), netip.MustParsePrefix("10.1.2.3/16")},
		ExcludeInboundPorts:  []uint16{9100},
	}
}

const want = `table inet leno {
	chain outbound {
		type nat hook output priority -100; policy accept;
		meta skuid 15015 return comment "what the proxy sends"
		oifname "lo" return comment "to an own address: stays in the pod"
		ip daddr 127.0.0.0/8 return comment "loopback"
		ip6 daddr ::1 return comment "loopback"
		ip daddr 10.1.0.0/16 return comment "excluded by annotation"
		ip6 daddr fd00:1::/64 return comment "excluded by annotation"
		tcp dport 25 return comment "excluded by annotation"
		tcp dport 5432 return comment "excluded by annotation"
		meta l4proto tcp redirect to :15001 comment "to the proxy"
	}

	chain inbound {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "lo" return comment "from the pod itself"
		tcp dport 15020 return comment "health and metrics of the proxy"
		tcp dport 9100 return comment "excluded by annotation"
		meta l4proto tcp redirect to :15006 comment "to the proxy"
	}
}
`

func TestRuleset(t *testing.T) {
	table, err := capture.Ruleset(settings())
	if err != nil {
		t.Fatal(err)
	}
	if got := table.String(); got != want {
		t.Errorf("got:\n%s", got)
	}
	memory := capture.Memory{}
	for range 2 {
		if err := capture.Install(memory, table); err != nil {
			t.Error(err)
		}
	}
}

func TestRulesetRefuses(t *testing.T) {
	for name, change := range map[string]func(*capture.Settings){
		"root as the proxy's user": func(s *capture.Settings) { s.ProxyUID = 0 },
		"no port":                  func(s *capture.Settings) { s.InboundPort = 0 },
		"too many exclusions":      func(s *capture.Settings) { s.ExcludeInboundPorts = make([]uint16, 257) },
	} {
		s := settings()
		change(&s)
		if _, err := capture.Ruleset(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

type forgetful struct{ capture.Memory }

func (f forgetful) Apply(t capture.Table) error {
	t.Chains = t.Chains[:1]
	return f.Memory.Apply(t)
}

func TestInstallReadsBack(t *testing.T) {
	table, _ := capture.Ruleset(settings())
	err := capture.Install(forgetful{capture.Memory{}}, table)
	if err == nil || !strings.Contains(err.Error(), "other rules") {
		t.Errorf("got %v", err)
	}
}
