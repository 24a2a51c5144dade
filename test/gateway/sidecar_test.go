package gateway

import (
	"context"
	"net"
	"net/netip"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/test/records"
)

// injected is a pod with a sidecar in a strict mesh.
type injected struct {
	endpoint mesh.Endpoint
	records  *records.Records
}

// Sidecar runs a sidecar beside an application: at the address where it listens, as if connections were redirected there.
func (g *Gateway) Sidecar(workload string, app net.Addr) injected {
	g.t.Helper()
	who := mesh.Name{Namespace: "shop", Name: workload + "-1"}
	inbound := must(net.Listen("tcp", "127.0.0.1:0"))
	own := netip.MustParseAddrPort(inbound.Addr().String())
	in := injected{records: &records.Records{}, endpoint: mesh.Endpoint{
		Address: own, Ready: true, Serving: true, Workload: who, Identity: "spiffe://cluster.local/ns/shop/sa/" + workload,
	}}
	g.Change(func(m *mesh.Mesh, _ *mesh.Gateway) {
		m.Settings.MTLS = mesh.MTLSStrict
		m.Workloads[who] = &mesh.Workload{Name: who, ServiceAccount: workload, Identity: in.endpoint.Identity, Injected: true, Owner: workload}
	})
	c := g.settings(who, workload)
	c.Sink, c.Drain.Settle = in.records, 0
	c.Listen = func(d telemetry.Direction) ([]net.Listener, error) {
		if d == telemetry.Inbound {
			return []net.Listener{inbound}, nil
		}
		return []net.Listener{must(net.Listen("tcp", "127.0.0.1:0"))}, nil
	}
	c.Original = func(net.Conn) (netip.AddrPort, error) { return own, nil }
	c.Own = func(to netip.AddrPort) (netip.AddrPort, bool) {
		return netip.MustParseAddrPort(app.String()), to == own
	}
	ctx, stop := context.WithCancel(context.Background())
	abort, end := context.WithCancel(context.Background())
	c.Drain.Abort = abort
	ended := make(chan error, 1)
	go func() { ended <- sidecar.Run(ctx, c) }()
	g.t.Cleanup(func() {
		stop()
		end()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
	})
	return in
}
