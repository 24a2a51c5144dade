//go:build differential

package differential

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/xdsclient"
	"github.com/leno-mesh/leno/test/poll"
)

// startLeno runs the real proxy and returns where each destination is dialled: a listener of its own stands for redirection.
func startLeno(t testing.TB, p *plane, svid *identity.SVID, destinations []*destination) map[netip.AddrPort]string {
	t.Helper()
	at, originals := map[netip.AddrPort]string{}, map[string]netip.AddrPort{}
	var listeners []net.Listener
	for _, d := range destinations {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, listener)
		at[d.address], originals[listener.Addr().String()] = listener.Addr().String(), d.address
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	leno := proxy.New(proxy.Options{
		Listen: func(d telemetry.Direction) ([]net.Listener, error) {
			if d == telemetry.Outbound {
				return listeners, nil
			}
			return nil, nil
		},
		Original: func(conn net.Conn) (netip.AddrPort, error) { return originals[conn.LocalAddr().String()], nil },
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		},
		// XBackends are on this machine, where a pod's resolver would not be believed.
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
		},
		Own: func(to netip.AddrPort) (netip.AddrPort, bool) { return to, false },
		Control: func(apply func(*config.Config)) proxy.Control {
			return xdsclient.New(xdsclient.Options{
				NodeID: "sidecar~" + client.String(), Log: log, OnConfig: apply, OnBundle: func([]byte) {},
				Connect: func(context.Context) (*grpc.ClientConn, error) {
					return grpc.NewClient("passthrough:///"+p.forLeno, grpc.WithTransportCredentials(insecure.NewCredentials()))
				},
				Backoff: func(int) time.Duration { return 20 * time.Millisecond },
			})
		},
		Identity: identity.Fixed{SVID: svid}, Log: log,
		Counters: telemetry.NewCounters(prometheus.NewRegistry()),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- leno.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Leno ended: %v", err)
		}
	})
	eventually(t, "Leno is ready", func() bool { ready, _ := leno.Ready(); return ready })
	return at
}

// patience is how long something may take that must happen.
const patience = 20 * time.Second

// eventually waits until check holds.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	poll.Until(t, patience, what, check)
}
