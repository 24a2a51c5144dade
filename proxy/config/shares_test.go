package config_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/proxy/config"
)

// listener decodes a listener that Envoy's own rules accept.
func listener(t *testing.T, name, json string) config.Resource {
	t.Helper()
	body := encode(t, config.ListenerType, json)
	l := &listenerv3.Listener{}
	if err := proto.Unmarshal(body, l); err != nil {
		t.Fatal(err)
	}
	if err := l.ValidateAll(); err != nil {
		t.Fatalf("not valid for Envoy: %v", err)
	}
	r, err := config.Decode(config.ListenerType, name, "1", body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestServerNames(t *testing.T) {
	got := listener(t, "x", validSNI).Listener
	want := &config.Listener{Name: "x", Protocol: config.TLS, SNI: []config.SNIRule{
		{Origin: config.Origin{Kind: "TLSRoute", Name: "r"}, Names: []string{"a.example.com", "*.example.com"},
			Shares: []config.Share{{Cluster: "a", Weight: 1}, {Weight: 3}}},
		{Names: []string{"b.example.org"}, Shares: []config.Share{{Cluster: "b", Weight: 1}}},
		{Shares: []config.Share{{Cluster: "rest", Weight: 1}}},
	}}
	if diff := cmp.Diff(want, got, addresses); diff != "" {
		t.Error(diff)
	}
	if names := got.References(); !slices.Equal(names, []string{"a", "b", "rest"}) {
		t.Errorf("refers to %q", names)
	}
}

func TestWeightedConnections(t *testing.T) {
	got := listener(t, "x", validWeighted).Listener
	want := &config.Listener{Name: "x", Protocol: config.TCP, Shares: []config.Share{{Cluster: "a", Weight: 1}, {Cluster: "b", Weight: 2}}}
	if diff := cmp.Diff(want, got, addresses); diff != "" {
		t.Error(diff)
	}
}

var addresses = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func TestDatagrams(t *testing.T) {
	got := listener(t, "udp/127.0.0.1:53", validUDP).Datagram
	want := &config.Datagram{
		Name: "udp/127.0.0.1:53", Origin: config.Origin{Kind: "UDPRoute", Name: "dns"}, Service: "edge",
		Address: netip.MustParseAddrPort("127.0.0.1:53"), Idle: 5 * time.Second,
		Shares: []config.Share{{Cluster: "a", Weight: 1}, {Cluster: "b", Weight: 3}},
	}
	if diff := cmp.Diff(want, got, addresses); diff != "" {
		t.Error(diff)
	}
	single := strings.Replace(validUDP, `, "backends": [{"cluster": "a", "weight": 1}, {"cluster": "b", "weight": 3}]`, "", 1)
	if got := listener(t, "udp/127.0.0.1:53", single).Datagram; !slices.Equal(got.Shares, []config.Share{{Cluster: "a", Weight: 1}}) {
		t.Errorf("without backends in the metadata: %+v", got.Shares)
	}
}
