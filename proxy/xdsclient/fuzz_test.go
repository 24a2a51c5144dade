package xdsclient

import (
	"fmt"
	"net/netip"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/plan"
)

// FuzzReceive: whatever the control plane sends, the client stands, and its configuration is consistent.
func FuzzReceive(f *testing.F) {
	r := response{Resources: []resource{{Type: config.ClusterType, Name: "a", Version: "1", Body: []byte{10, 1, 'a', 16, 3, 48, 1}}}}
	f.Add(append(appendText(appendText(nil, 4, config.ClusterType), 5, "1"), r.marshal()...))
	f.Add(appendText(appendText(nil, 4, config.ListenerType), 6, "outbound/10.0.0.1:80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseResponse(b)
		if err != nil {
			return
		}
		m := newMachine(node{ID: "x"})
		m.want(netip.MustParseAddrPort("10.0.0.1:80"))
		m.connect()
		m.requests()
		m.receive(r)
		m.requests()
		m.standing(netip.MustParseAddrPort("10.0.0.1:80"))
		if err := m.restore(r.Resources); err == nil && len(m.wanted) == 0 {
			t.Error("what was wanted is forgotten")
		}
		if err := config.Check(m.config); err != nil {
			t.Error(err)
		}
		if err := plan.Next(nil, m.config).Err(); err != nil {
			t.Errorf("what was accepted cannot be compiled: %v", err)
		}
	})
}

// FuzzWire: what the generated code reads in a response, this package reads too.
func FuzzWire(f *testing.F) {
	r := response{Resources: []resource{{Type: config.ClusterType, Name: "a", Version: "1", Body: []byte{10, 1, 'a'}}, {}}}
	f.Add(append(appendText(appendText(nil, 4, config.ClusterType), 5, "1"), r.marshal()...))
	f.Add(appendText(appendText(nil, 4, config.ListenerType), 6, "outbound/10.0.0.1:80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var theirs discoveryv3.DeltaDiscoveryResponse
		if proto.Unmarshal(b, &theirs) != nil {
			return
		}
		ours, err := parseResponse(b)
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		want := response{Type: theirs.GetTypeUrl(), Nonce: theirs.GetNonce(), Removed: theirs.GetRemovedResources()}
		for _, one := range theirs.GetResources() {
			want.Resources = append(want.Resources, resource{one.GetResource().GetTypeUrl(), one.GetName(), one.GetVersion(), one.GetResource().GetValue()})
		}
		if got, want := fmt.Sprintf("%q", ours), fmt.Sprintf("%q", want); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		again, err := parseResponse(ours.marshal())
		if got, want := fmt.Sprintf("%q", again.Resources), fmt.Sprintf("%q", ours.Resources); err != nil || got != want {
			t.Errorf("written and read again: %s, %v, want %s", got, err, want)
		}
	})
}
