package plan

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/msg"
)

var (
	frontend = netip.MustParseAddrPort("10.96.0.1:80")
	endpoint = netip.MustParseAddrPort("10.244.0.1:8080")
)

func cluster(name string) *config.Cluster {
	return &config.Cluster{Name: name, Endpoints: []config.Endpoint{{Address: endpoint, Identity: "spiffe://d/ns/n/sa/s"}}}
}

func base() *config.Config {
	return &config.Config{
		Outbound: map[netip.AddrPort]*config.Listener{
			frontend:                              {Name: "outbound/10.96.0.1:80", Routes: "t", Cluster: "c", Service: "n/s:80"},
			netip.MustParseAddrPort("10.0.0.9:9"): nil,
		},
		Clusters: map[string]*config.Cluster{"c": cluster("c"), "d": cluster("d")},
		Routes: map[string]*config.RouteTable{"t": {Name: "t", Entries: []config.Entry{
			{Action: &config.Action{Backends: []config.Backend{{Cluster: "c", Weight: 1}}}}}}},
		Inbound:   &config.Inbound{Protocols: map[uint16]config.Protocol{8080: config.HTTP}, Workload: config.Workload{Name: "web"}},
		AccessLog: true,
	}
}

func TestLookups(t *testing.T) {
	p := Next(nil, base())
	d, known := p.Outbound(frontend)
	if !known || d.Service != "n/s:80" || d.Cluster == nil || d.Routes == nil || d.Lookup("d") == nil || d.Lookup("x") != nil || !d.AccessLog {
		t.Errorf("destination %+v", d)
	}
	if d, known := p.Outbound(netip.MustParseAddrPort("10.0.0.9:9")); d != nil || !known {
		t.Error("a destination that the control plane does not know is not told from one that was not asked for")
	}
	if _, known := p.Outbound(endpoint); known {
		t.Error("a destination that was not asked for is known")
	}
	in := p.Inbound(endpoint)
	if in != p.Inbound(endpoint) || in.Protocol != config.HTTP || in.Receiver.Name != "web" || in.Cluster.Config.Endpoints[0].Address != endpoint {
		t.Errorf("inbound %+v", in)
	}
	if d := p.Direct(endpoint); d.Cluster.Config.Endpoints[0].Identity != "" || d.Routes != nil {
		t.Errorf("direct %+v", d)
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	p := Next(nil, base())
	if n := testing.AllocsPerRun(100, func() {
		p.Outbound(frontend)
		p.Inbound(endpoint)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWhatDidNotChangeIsShared(t *testing.T) {
	one := base()
	first := Next(nil, one)
	two := *one
	two.Clusters = map[string]*config.Cluster{"c": cluster("c"), "d": one.Clusters["d"]}
	loaded := first.clusters["c"].Balancer.Pick(time.Now(), nil)
	second := Next(first, &two)
	if second.routes["t"] != first.routes["t"] || second.clusters["d"] != first.clusters["d"] {
		t.Error("something that did not change was compiled again")
	}
	if second.clusters["c"] == first.clusters["c"] || second.clusters["c"].Balancer.Endpoints()[0].Active() != 1 {
		t.Error("the new cluster does not know the requests in flight")
	}
	loaded.Done()
	d, _ := second.Outbound(frontend)
	if old, _ := first.Outbound(frontend); d.Lookup("c") != second.clusters["c"] || old.Lookup("c") != first.clusters["c"] {
		t.Error("a destination looks into another plan than its own")
	}
}

func TestBrokenTable(t *testing.T) {
	good := base()
	first := Next(nil, good)
	bad := *good
	bad.Routes = map[string]*config.RouteTable{"t": {Name: "t", Entries: []config.Entry{
		{Match: config.Match{PathKind: config.PathRegex, Path: "("}}}}}
	if p := Next(first, &bad); p.Err() == nil || p.routes["t"] != first.routes["t"] {
		t.Errorf("the predecessor is not kept: %v", p.Err())
	}
	p := Next(nil, &bad)
	rule := p.routes["t"].Match(&msg.Request{Path: []byte("/")})
	if rule == nil || rule.Action.Fail == nil || rule.Action.Fail.Status != 500 {
		t.Errorf("requests without a usable table must fail: %+v", rule)
	}
	missing := *good
	missing.Routes = nil
	d, _ := Next(nil, &missing).Outbound(frontend)
	if rule := d.Routes.Match(&msg.Request{Path: []byte("/")}); rule == nil || rule.Action.Fail == nil {
		t.Error("a listener whose table is missing must fail requests, not pass them by the routes")
	}
}

// TestOrderOfLayers shows the pairs of layers whose order can be seen.
func TestOrderOfLayers(t *testing.T) {
	set := func(name, value string) *config.HeaderChange {
		return &config.HeaderChange{Set: []config.Header{{Name: name, Value: value}}}
	}
	ptr := func(s string) *string { return &s }
	for _, tc := range []struct {
		name   string
		action config.Action
		want   string
	}{
		{"backend's headers after the rule's", config.Action{RequestHeaders: set("x", "rule"),
			Backends: []config.Backend{{Weight: 1, RequestHeaders: set("x", "backend")}}}, "h/a x=backend"},
		{"hostname rewrite after Host", config.Action{RequestHeaders: set("host", "set"), Rewrite: &config.Rewrite{Hostname: "rewritten"},
			Backends: []config.Backend{{Weight: 1}}}, "rewritten/a"},
		{"backend's rewrite over the rule's, part by part", config.Action{
			Rewrite:  &config.Rewrite{Hostname: "rule", Path: &config.PathChange{Prefix: ptr("/rule")}},
			Backends: []config.Backend{{Weight: 1, Rewrite: &config.Rewrite{Path: &config.PathChange{Prefix: ptr("/backend")}}}}}, "rule/backend"},
	} {
		table := &config.RouteTable{Entries: []config.Entry{{Match: config.Match{PathKind: config.PathPrefix, Path: "/a"}, Action: &tc.action}}}
		routes, err := nextRoutes(nil, table)
		if err != nil {
			t.Fatal(err)
		}
		r := &msg.Request{Authority: []byte("h"), Path: []byte("/a")}
		for _, l := range routes.Match(r).Choose(func() uint64 { return 0 }).Request {
			l.Request(r)
		}
		got := string(r.Authority) + string(r.Path)
		for _, f := range r.Fields {
			got += " " + string(f.Name) + "=" + string(f.Value)
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestEntriesOfOneRuleShareWhatTheyCan(t *testing.T) {
	to := "/new"
	plain := &config.Action{Backends: []config.Backend{{Cluster: "c", Weight: 1}}}
	rewritten := &config.Action{Rewrite: &config.Rewrite{Path: &config.PathChange{Prefix: &to}}, Backends: plain.Backends}
	table := &config.RouteTable{}
	for _, a := range []*config.Action{plain, plain, rewritten, rewritten} {
		table.Entries = append(table.Entries, config.Entry{Match: config.Match{PathKind: config.PathPrefix,
			Path: "/" + strings.Repeat("x", 1+len(table.Entries))}, Action: a})
	}
	r, err := nextRoutes(nil, table)
	if err != nil {
		t.Fatal(err)
	}
	if r.rules[0] != r.rules[1] || r.rules[2] == r.rules[3] {
		t.Error("rules are shared where, and only where, the matched prefix makes no difference")
	}
}

func TestServes(t *testing.T) {
	serves := Next(nil, base()).Serves()
	tls := &config.BackendTLS{}
	if !serves(endpoint, "spiffe://d/ns/n/sa/s", nil) || serves(endpoint, "spiffe://d/ns/n/sa/other", nil) || !serves(endpoint, "", nil) ||
		serves(frontend, "spiffe://d/ns/n/sa/s", nil) || serves(endpoint, "spiffe://d/ns/n/sa/s", tls) || serves(endpoint, "", tls) {
		t.Error("connections are kept by address, identity and TLS")
	}
}
