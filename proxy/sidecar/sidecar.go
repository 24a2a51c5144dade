// Package sidecar is a proxy with everything around it: enrolment, the control plane client, metrics, access log, admin
// and health servers. Where it runs, in a pod or on a desk, beside an application or as a gateway, is told by its [Config].
package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/admin"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/dns"
	"github.com/leno-mesh/leno/proxy/memory"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/xdsclient"
)

// Config is what a sidecar needs to know. All fields without "optional" must be set.
type Config struct {
	Namespace, Pod, ServiceAccount, TrustDomain string
	Zone                                        string // optional
	// Manager is host:port of the control plane; ManagerName is the name in its certificate.
	Manager, ManagerName string
	// Token reads the service-account token, Roots the trust bundle that the manager is verified with at first. Both are
	// called again for each connection.
	Token func() (string, error)
	Roots func() (*identity.Bundle, error)
	// CacheFile keeps the last good configuration; optional.
	CacheFile string

	// The seams of the proxy, see proxy.Options. A gateway has no Listen, Original, Own and Reserved.
	Gateway  *proxy.Gateway
	Listen   func(telemetry.Direction) ([]net.Listener, error)
	Original func(net.Conn) (netip.AddrPort, error)
	Dial     func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Lookup   dns.Lookup // optional
	Own      func(netip.AddrPort) (netip.AddrPort, bool)
	Reserved []uint16
	Drain    proxy.Drain

	// Admin listens on loopback, Health for the network; optional. They are closed by Run.
	Admin, Health net.Listener
	Probes        []mesh.Probe
	PodIP         netip.Addr
	Sink          telemetry.Sink // gets each record too; optional
	AccessLog     io.Writer
	Log           *slog.Logger
	Level         *slog.LevelVar
}

// sidecar holds the parts of one that runs.
type sidecar struct {
	Config
	enroll    *enroll.Client
	xds       *xdsclient.Client
	proxy     *proxy.Proxy
	accessLog *telemetry.AccessLog
	registry  *prometheus.Registry
}

// Run runs a sidecar until ctx ends and it has drained.
func Run(ctx context.Context, c Config) error {
	id, err := identity.New(c.TrustDomain, c.Namespace, c.ServiceAccount)
	if err != nil {
		return err
	}
	s := &sidecar{Config: c, accessLog: telemetry.NewAccessLog(), registry: prometheus.NewRegistry()}
	s.enroll = enroll.NewClient(enroll.ClientOptions{
		ID: id, Connect: s.connectAnonymous, Token: c.Token, Random: rand.Float64, Log: c.Log,
	})
	if s.Gateway != nil {
		s.Own = func(netip.AddrPort) (netip.AddrPort, bool) { return netip.AddrPort{}, false } // it has no application
	}
	sinks := telemetry.Tee{telemetry.NewMetrics(s.registry, 0), s.accessLog}
	if c.Sink != nil {
		sinks = append(sinks, c.Sink)
	}
	s.proxy = proxy.New(proxy.Options{
		Gateway: c.Gateway, Listen: c.Listen, Original: c.Original, Dial: c.Dial, Lookup: c.Lookup, Own: s.Own, Reserved: c.Reserved, Drain: c.Drain,
		Identity: s.enroll, Control: s.newControl, Sink: sinks, Counters: telemetry.NewCounters(s.registry),
		OnConfig: func(cfg *config.Config) { s.accessLog.Enable(cfg.AccessLog) }, Log: c.Log, Random: rand.Uint64,
	})
	telemetry.RegisterHealth(s.registry, telemetry.Health{
		CertificateExpiry: func() (time.Time, bool) {
			notAfter := s.enroll.State().NotAfter
			return notAfter, !notAfter.IsZero()
		},
		Ready:           func() bool { ready, _ := s.proxy.Ready(); return ready },
		Connected:       func() bool { return s.xds.Stats().Connected },
		Refused:         func() int64 { return int64(s.xds.Stats().Nacks) },
		DroppedLogLines: s.accessLog.Dropped,
	})
	return s.run(ctx)
}

// run starts all parts, and ends them when the proxy has ended: until then it may need each of them.
func (s *sidecar) run(ctx context.Context) error {
	serving, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var parts sync.WaitGroup
	parts.Go(func() { _ = s.enroll.Run(serving) }) // ends with serving only
	parts.Go(func() { s.accessLog.Run(serving, s.AccessLog) })
	parts.Go(func() { memory.Release(serving) })
	options := s.adminOptions()
	for listener, handler := range map[net.Listener]http.Handler{s.Admin: admin.Local(options), s.Health: admin.Health(options)} {
		if listener == nil {
			continue
		}
		server := admin.Server(handler, s.Log)
		parts.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				s.Log.Error("server ended", "address", listener.Addr().String(), "error", err.Error())
			}
		})
		context.AfterFunc(serving, func() { _ = server.Close() })
	}
	err := s.proxy.Run(ctx)
	cut()
	parts.Wait()
	return err
}

// newControl makes the control plane client. It connects once there is a certificate to show.
func (s *sidecar) newControl(apply func(*config.Config)) proxy.Control {
	kind := "sidecar~"
	if s.Gateway != nil {
		kind = "gateway~"
	}
	s.xds = xdsclient.New(xdsclient.Options{
		Connect: s.connectKnown, Gateway: s.Gateway != nil, NodeID: kind + s.Namespace + "/" + s.Pod, Zone: s.Zone, CacheFile: s.CacheFile, Log: s.Log,
		OnConfig: apply, OnBundle: s.newBundle,
	})
	return s.xds
}

func (s *sidecar) newBundle(pem []byte) {
	bundle, err := identity.ParseBundle(pem)
	if err != nil {
		s.Log.Error("trust bundle of the control plane cannot be used, the one before stays", "error", err.Error())
		return
	}
	s.enroll.SetRoots(bundle)
}

func (s *sidecar) adminOptions() admin.Options {
	return admin.Options{
		Ready: s.proxy.Ready, Config: s.proxy.Config, Certificates: s.certificates, Level: s.Level,
		ControlPlane: func() any { return s.xds.Stats() },
		AccessLog:    s.proxy.SetAccessLog,
		Metrics:      promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}),
		Probes:       admin.Prober{Probes: s.Probes, Address: s.PodIP, Dial: s.dialOwn},
	}
}

// dialOwn connects to where the own application really listens.
func (s *sidecar) dialOwn(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if real, ok := s.Own(to); ok {
		to = real
	}
	return s.Dial(ctx, to)
}

func (s *sidecar) certificates() []admin.Certificate {
	state := s.enroll.State()
	svid, err := s.enroll.Identity()
	if err != nil {
		return []admin.Certificate{{Use: "workload", LastError: err.Error()}}
	}
	shown := []admin.Certificate{{
		Use: "workload", ID: svid.ID.String(), Serial: svid.Chain[0].SerialNumber.Text(16),
		NotBefore: svid.NotBefore, NotAfter: svid.NotAfter, Renewal: state.Next, LastError: state.LastError,
	}}
	for _, root := range svid.Roots.Roots() {
		shown = append(shown, admin.Certificate{
			Use: "root", Subject: cmp.Or(root.Subject.String(), "(none)"), Serial: root.SerialNumber.Text(16),
			NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		})
	}
	return shown
}

// roots are what the manager is verified with: what the volume holds, and what enrolment and the control plane said.
func (s *sidecar) roots() (*identity.Bundle, error) {
	mounted, err := s.Roots()
	svid, noCertificate := s.enroll.Identity()
	switch {
	case noCertificate == nil:
		return identity.Union(mounted, svid.Roots), nil
	case err != nil:
		return nil, fmt.Errorf("trust bundle: %w", err)
	default:
		return mounted, nil
	}
}
