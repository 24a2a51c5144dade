package server_test

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds/server"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/xdsclient"
)

var svc0 = mesh.Name{Namespace: "shop", Name: "svc-0"}

func endpoints(cfg *config.Config, cluster string) []config.Endpoint {
	if c := cfg.Clusters[cluster]; c != nil {
		return c.Endpoints
	}
	return nil
}

func TestConfigurationReachesTheProxy(t *testing.T) {
	p := start(t, server.Options{})
	p.Publish(fleet(1))
	if err := p.PublishBundle([]byte("ROOTS")); err != nil {
		t.Fatal(err)
	}
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	c.until(t, "inbound", func(cfg *config.Config) bool { return cfg.Inbound != nil })
	if got := <-c.bundles; got != "ROOTS" {
		t.Errorf("bundle %q", got)
	}
	cfg := c.outbound(t, "10.96.0.0:80")
	l := cfg.Outbound[netip.MustParseAddrPort("10.96.0.0:80")]
	if l.Routes != "shop/svc-0:80" || len(cfg.Routes[l.Routes].Entries) != 1 || len(cfg.Clusters[l.Cluster].Endpoints) != 1 {
		t.Errorf("%+v", cfg)
	}
	if cfg := c.outbound(t, "192.0.2.1:80"); cfg.Outbound[netip.MustParseAddrPort("192.0.2.1:80")] != nil {
		t.Error("an unknown destination has a listener")
	}

	// One endpoint more: the cluster is new, everything else keeps its pointer.
	m := fleet(1)
	sp := mesh.ServicePort{Name: svc0, Port: 80}
	m.Endpoints[sp] = append(m.Endpoints[sp], mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.9.9:8080"), Ready: true})
	p.Publish(m)
	next := c.until(t, "two endpoints", func(cfg *config.Config) bool { return len(endpoints(cfg, "shop/svc-0:80")) == 2 })
	if next.Routes[l.Routes] != cfg.Routes[l.Routes] || next.Inbound != cfg.Inbound {
		t.Error("unchanged parts lost their pointers")
	}

	// The route moves to a service that the proxy has nothing of: its table changes when all of that is there.
	m = fleet(2)
	m.Services[svc0].Ports[0].Routes.Entries[0].Rule.Backends[0].Service.Name.Name = "svc-1"
	p.Publish(m)
	c.until(t, "the other backend", func(cfg *config.Config) bool {
		return cfg.Routes[l.Routes].Entries[0].Action.Backends[0].Cluster == "shop/svc-1:80"
	})

	// The Service goes: the destination is unknown, and nothing of it is left.
	p.Publish(fleet(0))
	c.until(t, "nothing", func(cfg *config.Config) bool {
		l, ok := cfg.Outbound[netip.MustParseAddrPort("10.96.0.0:80")]
		return ok && l == nil && len(cfg.Routes) == 0 && len(cfg.Clusters) == 0
	})
}

func TestUnrelatedServicesCostNoByte(t *testing.T) {
	p := start(t, server.Options{})
	p.Publish(fleet(10))
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	c.outbound(t, "10.96.0.3:80")
	eventually(t, "all acknowledged", p.acknowledged)
	before, sent := c.Stats(), p.Stats()
	p.Publish(fleet(1010))
	// A change that concerns the proxy comes after everything that would have come of the 1,000.
	m := fleet(1010)
	sp := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: "svc-3"}, Port: 80}
	m.Endpoints[sp] = append(m.Endpoints[sp], mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.9.9:8080"), Ready: true})
	p.Publish(m)
	c.until(t, "two endpoints", func(cfg *config.Config) bool { return len(endpoints(cfg, "shop/svc-3:80")) == 2 })
	after, now := c.Stats(), p.Stats()
	if now.Responses != sent.Responses+1 {
		t.Errorf("%d responses were sent, not 1", now.Responses-sent.Responses)
	}
	for typeURL, n := range after.Bytes {
		if typeURL != config.EndpointType && n != before.Bytes[typeURL] {
			t.Errorf("%d bytes of %s were received", n-before.Bytes[typeURL], typeURL)
		}
	}
	t.Logf("received: at the start %v, for 1,000 unrelated Services 0, for one endpoint %d bytes",
		before.Bytes, after.Bytes[config.EndpointType]-before.Bytes[config.EndpointType])
}

func TestReconnectResendsNothingUnchanged(t *testing.T) {
	p := start(t, server.Options{})
	p.Publish(fleet(2))
	if err := p.PublishBundle([]byte("ROOTS")); err != nil {
		t.Fatal(err)
	}
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	<-c.bundles
	c.outbound(t, "10.96.0.1:80")
	cfg := c.until(t, "inbound", func(cfg *config.Config) bool { return cfg.Inbound != nil })
	eventually(t, "all acknowledged", p.acknowledged)
	before := p.Stats()
	p.grpc.Stop()
	eventually(t, "disconnected", func() bool { return !c.Stats().Connected })
	if again, ok := c.Outbound(t.Context(), netip.MustParseAddrPort("10.96.0.1:80")); !ok || again != cfg {
		t.Error("the configuration changed when the control plane went away")
	}
	if _, ok := c.Outbound(t.Context(), netip.MustParseAddrPort("10.96.0.0:80")); ok {
		t.Error("a new destination is known without a control plane")
	}
	c.Release(netip.MustParseAddrPort("10.96.0.0:80"))
	p.serve()
	eventually(t, "connected again", func() bool { return c.Stats().Connected && len(p.Proxies()) == 1 })
	eventually(t, "everything is subscribed again", func() bool {
		return p.Proxies()[0].Types[config.EndpointType].Subscribed == 1
	})
	if now := p.Stats(); now.Responses != before.Responses {
		t.Errorf("%d responses after reconnecting", now.Responses-before.Responses)
	}
	if c.Config() != cfg {
		t.Error("the configuration changed by reconnecting")
	}
}

func TestStartFromDiskWithoutControlPlane(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	p := start(t, server.Options{})
	p.Publish(fleet(2))
	if err := p.PublishBundle([]byte("ROOTS")); err != nil {
		t.Fatal(err)
	}
	first := p.proxy(t, client, clientID, xdsclient.Options{CacheFile: file})
	first.until(t, "inbound", func(cfg *config.Config) bool { return cfg.Inbound != nil })
	first.outbound(t, "10.96.0.1:80")
	first.stop()
	p.grpc.Stop()

	second := p.proxy(t, client, clientID, xdsclient.Options{CacheFile: file})
	cfg := second.until(t, "the destination", func(cfg *config.Config) bool {
		return cfg.Inbound != nil && cfg.Outbound[netip.MustParseAddrPort("10.96.0.1:80")] != nil
	})
	responses := p.Stats().Responses
	p.serve()
	eventually(t, "connected", func() bool { return second.Stats().Connected })
	if got := <-second.bundles; got != "ROOTS" {
		t.Errorf("bundle %q", got)
	}
	if n := p.Stats().Responses - responses; n != 1 {
		t.Errorf("%d responses: only the bundle was not on disk", n)
	}
	if second.Config() != cfg {
		t.Error("the control plane changed what it had not changed")
	}
}

func TestReleaseCollectsTheChain(t *testing.T) {
	p := start(t, server.Options{})
	p.Publish(fleet(2))
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	c.outbound(t, "10.96.0.0:80")
	c.outbound(t, "10.96.0.1:80")
	c.Release(netip.MustParseAddrPort("10.96.0.0:80"))
	cfg := c.Config()
	if len(cfg.Outbound) != 1 || len(cfg.Routes) != 1 || len(cfg.Clusters) != 1 {
		t.Errorf("%+v", cfg)
	}
	eventually(t, "unsubscribed", func() bool {
		types := p.Proxies()[0].Types
		return types[config.ListenerType].Subscribed == 2 && types[config.RouteType].Subscribed == 1 &&
			types[config.ClusterType].Subscribed == 1 && types[config.EndpointType].Subscribed == 1
	})
	c.outbound(t, "10.96.0.0:80") // and it can be had again
}

func TestManyChangesAreToldTogether(t *testing.T) {
	p := start(t, server.Options{})
	p.Publish(fleet(1))
	c := p.proxy(t, client, clientID, xdsclient.Options{})
	c.outbound(t, "10.96.0.0:80")
	sp := mesh.ServicePort{Name: svc0, Port: 80}
	const changes = 500
	for i := range changes {
		m := fleet(1)
		m.Endpoints[sp][0].Address = netip.AddrPortFrom(m.Endpoints[sp][0].Address.Addr(), uint16(1000+i))
		p.Publish(m)
	}
	begin := time.Now()
	c.until(t, "the last state", func(cfg *config.Config) bool {
		e := endpoints(cfg, "shop/svc-0:80")
		return len(e) == 1 && e[0].Address.Port() == 1000+changes-1
	})
	t.Logf("%d changes in %d responses, the last one %v after the last publish", changes, p.Stats().Responses, time.Since(begin))
}
