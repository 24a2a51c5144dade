package plan

import (
	"net/netip"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

func TestShares(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.8:53")
	cfg := base()
	cfg.Clusters["empty"] = &config.Cluster{Name: "empty"}
	cfg.Datagrams = map[netip.AddrPort]*config.Datagram{at: {Shares: []config.Share{{Cluster: "c", Weight: 1}, {Weight: 1}, {Cluster: "empty", Weight: 2}}}}
	p := Next(nil, cfg)
	d := p.Datagrams(at)
	if p.Datagrams(frontend) != nil {
		t.Error("a socket that is not configured has a destination")
	}
	for i, want := range []*Cluster{p.clusters["c"], nil, p.clusters["empty"], p.clusters["empty"]} {
		if got := d.Choose(func() uint64 { return uint64(i) }); got != want {
			t.Errorf("%d: got %+v", i, got)
		}
	}
	if !d.Holds(endpoint, "spiffe://d/ns/n/sa/s") || d.Holds(endpoint, "") || d.Holds(frontend, "spiffe://d/ns/n/sa/s") {
		t.Error("a destination holds the endpoints of its shares, by address and identity")
	}
	whole, _ := p.Outbound(frontend)
	if whole.Choose(nil) != p.clusters["c"] || !whole.Holds(endpoint, "spiffe://d/ns/n/sa/s") || whole.ByServerName() {
		t.Error("without shares all goes to the cluster")
	}
}

func TestServerNames(t *testing.T) {
	cfg := base()
	rule := func(name string, names ...string) config.SNIRule {
		return config.SNIRule{Origin: config.Origin{Name: name}, Names: names, Shares: []config.Share{{Cluster: name, Weight: 1}}}
	}
	cfg.Outbound[frontend] = &config.Listener{Protocol: config.TLS, Service: "n/s:443", SNI: []config.SNIRule{rule("c", "*.example.com"), rule("d", "www.example.com")}}
	p := Next(nil, cfg)
	d, _ := p.Outbound(frontend)
	if !d.ByServerName() || d.ServerName("example.org") != nil || d.ServerName("") != nil {
		t.Error("a name that no rule takes has no destination")
	}
	got := d.ServerName("www.example.com")
	if got.Choose(nil) != p.clusters["d"] || got.Origin.Name != "d" || got.Service != "n/s:443" {
		t.Errorf("destination %+v", got)
	}
}
