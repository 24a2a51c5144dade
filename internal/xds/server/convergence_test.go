package server_test

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds/server"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/xdsclient"
)

// TestConvergence: whatever happened, a proxy ends with what a new one gets that wants the same, and each configuration on
// the way is consistent (the harness checks that).
func TestConvergence(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := start(t, server.Options{Limits: server.Limits{ResponseBytes: 300}})
		p.Publish(fleet(0))
		c := p.proxy(t, client, clientID, xdsclient.Options{})
		wanted := map[string]bool{}
		for range 150 {
			dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 0, byte(random.IntN(6))}), 80).String()
			switch random.IntN(6) {
			case 0:
				c.Release(netip.MustParseAddrPort(dst))
				delete(wanted, dst)
			case 1, 2:
				c.outbound(t, dst)
				wanted[dst] = true
			case 3:
				if random.IntN(5) == 0 {
					p.grpc.Stop()
					p.serve()
				}
				eventually(t, "connected", func() bool { return c.Stats().Connected })
			default:
				p.Publish(shuffled(random))
			}
		}
		last := shuffled(random)
		last.Settings.AccessLog = seed%2 == 0 // so that there is news of the last one
		p.Publish(last)
		fresh := p.proxy(t, client, clientID, xdsclient.Options{})
		for dst := range maps.Keys(wanted) {
			fresh.outbound(t, dst)
		}
		want := fresh.until(t, "inbound and all", func(cfg *config.Config) bool { return cfg.Inbound != nil && len(cfg.Outbound) == len(wanted) })
		eventually(t, "the same", func() bool { return reflect.DeepEqual(c.Config(), want) })
		c.stop()
		fresh.stop()
	}
}

// shuffled is a mesh of some of six services, with routes to others and endpoints of all kinds.
func shuffled(random *rand.Rand) *mesh.Mesh {
	m := fleet(6)
	names := slices.SortedFunc(maps.Keys(m.Services), func(a, b mesh.Name) int { return len(a.Name) - len(b.Name) + int(a.Name[4]) - int(b.Name[4]) })
	for _, name := range names {
		sp := mesh.ServicePort{Name: name, Port: 80}
		port := &m.Services[name].Ports[0]
		other := names[random.IntN(len(names))]
		switch random.IntN(6) {
		case 0:
			delete(m.Services, name)
			delete(m.Endpoints, sp)
			maps.DeleteFunc(m.Frontends, func(_ netip.AddrPort, f mesh.ServicePort) bool { return f == sp })
		case 1:
			port.Routes = nil
		case 2:
			port.Routes.Entries[0].Rule.Backends[0].Service.Name = other // it may be gone: then it has no endpoints
		case 3:
			port.Consumer = map[string]*mesh.RouteTable{"shop": {Entries: port.Routes.Entries}}
		case 4:
			m.Endpoints[sp] = nil
		}
	}
	return m
}
