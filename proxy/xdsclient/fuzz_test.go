package xdsclient

import (
	"net/netip"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
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
	})
}
