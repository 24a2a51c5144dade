// Package loopback is the sidecar of a pod as pods have it, drain included, on addresses of loopback: where a pod has
// redirected connections, it has a listener for each original destination. It links no more than leno-proxy does, so
// that its memory is that of a sidecar.
package loopback

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// Spec is what a sidecar is told.
type Spec struct {
	Namespace, Pod, ServiceAccount, TrustDomain string
	// Manager is where the control plane listens; Roots (PEM) and Token are what a pod finds in its volumes.
	Manager, Roots, Token string
	// IP is the pod's address, App where its application listens.
	IP, App  netip.Addr
	Inbound  []netip.AddrPort // whatever the address, it stands for IP
	Outbound []Way
	Admin    netip.AddrPort
	// DrainMax and DrainQuiet are proxy.Drain's.
	DrainMax, DrainQuiet time.Duration
}

// Way is an address to listen at, and the original destination of what comes in there.
type Way struct{ At, Original netip.AddrPort }

// Run runs the sidecar until ctx ends and it has drained, or until abort ends.
func Run(ctx, abort context.Context, s Spec, logs io.Writer) error {
	roots, err := identity.ParseBundle([]byte(s.Roots))
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", s.Admin.String())
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	return sidecar.Run(ctx, sidecar.Config{
		Namespace: s.Namespace, Pod: s.Pod, ServiceAccount: s.ServiceAccount, TrustDomain: s.TrustDomain,
		Manager: s.Manager, ManagerName: mesh.ManagerServerName,
		Token:  func() (string, error) { return s.Token, nil },
		Roots:  func() (*identity.Bundle, error) { return roots, nil },
		Listen: s.listen, Original: s.original, Own: s.own, Dial: dial,
		Drain: proxy.Drain{Max: s.DrainMax, Quiet: s.DrainQuiet, Abort: abort},
		Admin: admin, PodIP: s.IP, AccessLog: io.Discard, Level: level,
		Log: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: level})),
	})
}

func (s *Spec) listen(direction telemetry.Direction) ([]net.Listener, error) {
	addresses := s.Inbound
	if direction == telemetry.Outbound {
		addresses = nil
		for _, way := range s.Outbound {
			addresses = append(addresses, way.At)
		}
	}
	var listeners []net.Listener
	for _, at := range addresses {
		listener, err := accept.Listen("tcp", at.String())
		if err != nil {
			for _, opened := range listeners {
				_ = opened.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func (s *Spec) original(conn net.Conn) (netip.AddrPort, error) {
	at := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	for _, way := range s.Outbound {
		if way.At == at {
			return way.Original, nil
		}
	}
	return netip.AddrPortFrom(s.IP, at.Port()), nil
}

func (s *Spec) own(to netip.AddrPort) (netip.AddrPort, bool) {
	return netip.AddrPortFrom(s.App, to.Port()), to.Addr() == s.IP
}

func dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second, KeepAliveConfig: accept.KeepAlive}
	return dialer.DialContext(ctx, "tcp", to.String())
}
