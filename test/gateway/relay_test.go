package gateway

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// TestTCP: connections go by weight, without waiting for a client that has nothing to say first; the share of a backend that is not
// there is refused.
func TestTCP(t *testing.T) {
	g := Start(t)
	a := g.Backend("a", nil, at(greeter(t, "a", nil)))
	b := g.Backend("b", nil, at(greeter(t, "b", nil)))
	g.Ports(plainTCP(9000, split(share(a, 2), share(b, 1), missing(1))), plainTCP(9001, nil))
	counts := map[string]int{}
	begin := time.Now()
	const connections = 400
	for range connections {
		counts[hello(g.Address(9000))]++
	}
	// Of 400 draws, the standard deviation of a half is 10, of a quarter below 9: five of them are chance enough.
	for name, want := range map[string]int{"a": connections / 2, "b": connections / 4, "": connections / 4} {
		if got := counts[name]; got < want-50 || got > want+50 {
			t.Errorf("%d connections for %q, want about %d", got, name, want)
		}
	}
	if each := time.Since(begin) / connections; each > 50*time.Millisecond {
		t.Errorf("a connection took %v: somebody waited for the client", each)
	}
	if hello(g.Address(9001)) != "" {
		t.Error("a listener without route answers")
	}
	g.Eventually("connections are recorded", func() bool {
		return slices.ContainsFunc(g.Records.Connections(telemetry.Gateway), func(c telemetry.Connection) bool {
			return c.Service == "edge/gw:9000" && c.Origin.Name == "split" && strings.HasPrefix(c.Client, "127.0.0.1:")
		})
	})
}

// echo is a backend for datagrams: its answer is its name.
func echo(t *testing.T, name string) net.Addr {
	t.Helper()
	socket := must(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 100)
		for {
			_, from, err := socket.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			_, _ = socket.WriteToUDPAddrPort([]byte(name), from)
		}
	}()
	return socket.LocalAddr()
}

// TestUDP: sessions go by weight and stay where they are; those of a backend that is not there get nothing.
func TestUDP(t *testing.T) {
	g := Start(t)
	a := g.Backend("a", nil, at(echo(t, "a")))
	b := g.Backend("b", nil, at(echo(t, "b")))
	g.Ports(mesh.GatewayPort{Number: 53, UDP: true, Listeners: []*mesh.Listener{{
		Protocol: mesh.ListenerUDP, Split: split(share(a, 1), missing(1), share(b, 1)),
	}}})
	address := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(g.Address(53)))
	ask := func(socket *net.UDPConn, wait time.Duration) string {
		_, _ = socket.Write([]byte("?"))
		_ = socket.SetReadDeadline(time.Now().Add(wait))
		buffer := make([]byte, 100)
		n, _ := socket.Read(buffer)
		return string(buffer[:n])
	}
	counts := map[string]int{}
	for range 60 {
		socket := must(net.DialUDP("udp", nil, address))
		first := ask(socket, 200*time.Millisecond)
		counts[first]++
		if first != "" && ask(socket, patience) != first {
			t.Error("a session changed its backend")
		}
		_ = socket.Close()
	}
	// Standard deviation 3.7.
	for _, name := range []string{"a", "b", ""} {
		if got := counts[name]; got < 3 || got > 40 {
			t.Errorf("%d sessions of %q, want about 20", got, name)
		}
	}
}
