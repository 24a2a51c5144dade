package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/proxy/config"
)

const (
	inspectors = `"listenerFilters": [
		{"name": "tls", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}},
		{"name": "http", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}]`
	nameChain = `{"filterChainMatch": {"transportProtocol": "tls", "serverNames": ["a.example.com"]}, "name": "a.example.com",
		"metadata": {"filterMetadata": {"dev.leno.origin": {"kind": "XBackend", "name": "a"}}},
		"filters": [{"name": "tcp", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
			"statPrefix": "s", "cluster": "a"}}]}`
	httpChain = `{"filterChainMatch": {"applicationProtocols": ["http/1.1", "h2c"]}, "filters": [{"name": "hcm", "typedConfig": {
		"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"statPrefix": "s", "rds": {"configSource": {"ads": {}}, "routeConfigName": "r"}}}]}`
	validByName = `{"name": "x", "listenerFiltersTimeout": "5s", "metadata": {"filterMetadata": {"dev.leno.listener": {"by_name": true}}}, ` + inspectors + `,
		"filterChains": [` + nameChain + `, ` + httpChain + `]}`
)

func TestByName(t *testing.T) {
	got := listener(t, "x", validByName).Listener
	want := &config.Listener{Name: "x", ByName: true, Routes: "r", SNI: []config.SNIRule{
		{Origin: config.Origin{Kind: "XBackend", Name: "a"}, Names: []string{"a.example.com"}, Shares: []config.Share{{Cluster: "a", Weight: 1}}},
	}}
	if diff := cmp.Diff(want, got, addresses); diff != "" {
		t.Error(diff)
	}
}

// TestByNameOnly: nothing in such a listener takes connections that name nobody.
func TestByNameOnly(t *testing.T) {
	other := `{"filters": [` + tcpFilter(`"cluster": "c"`) + `]}`
	for _, c := range []struct{ old, new, says string }{
		{`, "serverNames": ["a.example.com"]`, ``, `filter_chains[0].filter_chain_match: field number 9`},
		{`"transportProtocol": "tls", `, ``, `transport_protocol is ""`},
		{`"by_name": true`, `"by_name": true, "cluster": "c"`, `something that takes connections without a name`},
		{`"by_name": true`, `"by_name": true, "protocol": "TCP"`, `something that takes connections without a name`},
		{httpChain, other, `field cluster is "c"`},
		{httpChain, strings.Replace(other, `"cluster": "c"`, `"weightedClusters": {"clusters": [{"name": "c", "weight": 1}]}`, 1), `something that takes connections without a name`},
		{httpChain, httpChain + "," + httpChain, `filter_chains[2]: is another chain for HTTP`},
		{", " + httpChain, ``, `has no chain for HTTP`},
		{`"filterChains"`, `"defaultFilterChain": ` + other + `, "filterChains"`, `field number 25`},
		{`"rds"`, `"useRemoteAddress": true, "normalizePath": true, "rds"`, `something that takes connections without a name`},
	} {
		_, err := config.Decode(config.ListenerType, "x", "1", encode(t, config.ListenerType, strings.Replace(validByName, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.new, err, c.says)
		}
	}
}

func TestOutboundPolicy(t *testing.T) {
	for text, want := range map[string]config.OutboundPolicy{
		"": config.OutboundAllow, "Allow": config.OutboundAllow, "Deny": config.OutboundDeny, "RegistryOnly": config.OutboundRegistryOnly, "Maybe": "",
	} {
		json := strings.Replace(validInbound, `"filterMetadata": {`, `"filterMetadata": {"dev.leno.proxy": {"outbound": "`+text+`"}, `, 1)
		r, err := config.Decode(config.ListenerType, "inbound", "1", encode(t, config.ListenerType, json))
		if want == "" {
			if err == nil {
				t.Errorf("%q is taken as %q", text, r.Inbound.Policy)
			}
			continue
		}
		if err != nil || r.Inbound.Policy != want {
			t.Errorf("%q: %v, %v", text, r.Inbound, err)
		}
	}
}

func TestHostName(t *testing.T) {
	for authority, want := range map[string]string{
		"API.example.com": "api.example.com", "api.example.com:8443": "api.example.com", "api": "api", "a_b.example": "a_b.example",
		"": "", "192.0.2.1": "", "192.0.2.1:80": "", "[::1]:80": "", "[::1]": "", "*.example.com": "", "a..b": "", "a.": "", "a/b": "", "a b": "",
		"\u212a.example": "", "a.example:80:80": "", strings.Repeat("a.", 126) + "aa": "", strings.Repeat("a", 64): "",
	} {
		if got := config.HostName(authority); got != want {
			t.Errorf("%q: got %q, want %q", authority, got, want)
		}
	}
}

// FuzzHostName: applications choose what they name. What comes out is a name, for which the control plane has a name in turn.
func FuzzHostName(f *testing.F) {
	f.Add("API.example.com:443")
	f.Add("[::1]:80")
	f.Fuzz(func(t *testing.T, authority string) {
		name := config.HostName(authority)
		if len(name) > 253 || strings.ToLower(name) != name || strings.ContainsAny(name, "/:* \n") || config.HostName(name) != name {
			t.Errorf("%q gives %q", authority, name)
		}
		if refused := config.RefusedName(netip.MustParseAddrPort("192.0.2.1:80"), name); len(refused) > 512 {
			t.Errorf("%q is told in %d bytes", authority, len(refused))
		}
	})
}
