package proxy_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// udpApp answers each datagram with its name.
func udpApp(t *testing.T, name string) netip.AddrPort {
	socket := must(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			_, from, err := socket.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			_, _ = socket.WriteToUDPAddrPort([]byte(name), from)
		}
	}()
	return socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

// datagramClient is a socket towards a gateway's address.
func datagramClient(t *testing.T, to netip.AddrPort) *net.UDPConn {
	c := must(net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)))
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func ask(t *testing.T, c *net.UDPConn) string {
	t.Helper()
	must(c.Write([]byte("who?")))
	buffer := make([]byte, 100)
	n, err := c.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestDatagrams(t *testing.T) {
	m := newMesh(t)
	random := uint64(0)
	opened := make(chan netip.AddrPort, 10)
	gateway := m.pod("gateway", netip.AddrPort{}, func(o *proxy.Options) {
		o.Random = func() uint64 { random++; return random }
		o.Gateway = &proxy.Gateway{
			ListenDatagrams: func(netip.AddrPort) (*net.UDPConn, error) {
				socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				if err == nil {
					opened <- socket.LocalAddr().(*net.UDPAddr).AddrPort()
				}
				return socket, err
			},
			DialDatagrams: func(to netip.AddrPort) (*net.UDPConn, error) {
				return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
			},
		}
	})
	cluster := func(name string) *config.Cluster {
		return &config.Cluster{Name: name, Endpoints: []config.Endpoint{{Address: udpApp(t, name), Workload: config.Workload{Name: name}}}}
	}
	at := netip.MustParseAddrPort("192.0.2.1:53")
	use := func(shares ...config.Share) {
		gateway.control.change(func(cfg *config.Config) {
			cfg.Datagrams = map[netip.AddrPort]*config.Datagram{at: {
				Address: at, Service: "shop/dns:53", Origin: config.Origin{Kind: "UDPRoute", Name: "dns"}, Shares: shares,
			}}
		})
	}
	gateway.control.change(func(cfg *config.Config) {
		cfg.Clusters = map[string]*config.Cluster{"a": cluster("a"), "b": cluster("b")}
	})
	use(config.Share{Cluster: "a", Weight: 1}, config.Share{Cluster: "b", Weight: 3})
	address := <-opened
	clients := map[string][]*net.UDPConn{}
	for range 8 {
		c := datagramClient(t, address)
		name := ask(t, c)
		clients[name] = append(clients[name], c)
	}
	if len(clients["a"]) != 2 || len(clients["b"]) != 6 {
		t.Errorf("a has %d sessions, b %d, want 2 and 6", len(clients["a"]), len(clients["b"]))
	}

	use(config.Share{Cluster: "b", Weight: 1}) // a is out: its clients go to b, the others notice nothing
	connections := func() []telemetry.Connection { return gateway.records.connections }
	c := wait(t, &gateway.records, connections, func(c telemetry.Connection) bool { return c.Flag == "endpoint_gone" })
	if c.Protocol != "UDP" || c.Destination.Name != "a" || c.Origin.Name != "dns" || c.Service != "shop/dns:53" || c.BytesIn != 4 || c.BytesOut != 1 {
		t.Errorf("record %+v", c)
	}
	for was, list := range clients {
		for _, c := range list {
			if got := ask(t, c); got != "b" {
				t.Errorf("a client of %s got an answer of %q", was, got)
			}
		}
	}
	if len(opened) != 0 {
		t.Error("the socket was opened anew for a new configuration")
	}

	gateway.control.change(func(cfg *config.Config) { cfg.Datagrams = nil })
	wait(t, &gateway.records, connections, func(c telemetry.Connection) bool { return c.Flag == "stopped" })
	use(config.Share{Cluster: "a", Weight: 1})
	if got := ask(t, datagramClient(t, <-opened)); got != "a" {
		t.Errorf("after the socket was opened again: %q", got)
	}
}
