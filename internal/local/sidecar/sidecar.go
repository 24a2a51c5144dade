package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/dns"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/xdsclient"
)

// dialTimeout is for connections on one machine.
const dialTimeout = 5 * time.Second

// Options of a Sidecar beyond its Spec.
type Options struct {
	Log *slog.Logger
	// Sink gets a record of each request, besides the metrics. Optional.
	Sink telemetry.Sink
	// Ready is called once, when traffic may come. Optional.
	Ready func()
	// NoHealth leaves out the listener for metrics, where many sidecars run in one process.
	NoHealth bool
	// Backoff between attempts to reach the control plane; nil: that of xdsclient.
	Backoff func(n int) time.Duration
	// Lookup finds the addresses of names outside of the mesh; nil: this machine's resolver is asked.
	Lookup dns.Lookup
}

// Sidecar is a proxy made from a Spec.
type Sidecar struct {
	spec     Spec
	options  Options
	inbound  *Fan
	outbound *Fan
	identity *enroll.Client
	given    *identity.Bundle
	xds      *xdsclient.Client
	proxy    *proxy.Proxy
	metrics  *prometheus.Registry
}

// New composes a Sidecar and opens its listeners.
func New(spec Spec, options Options) (*Sidecar, error) {
	s := &Sidecar{spec: spec, options: options, inbound: NewFan(), outbound: NewFan(), metrics: prometheus.NewRegistry()}
	if err := errors.Join(s.inbound.Set(spec.Inbound), s.outbound.Set(spec.Outbound)); err != nil {
		s.inbound.Close()
		s.outbound.Close()
		return nil, err
	}
	id, err := identity.New(spec.TrustDomain, spec.Namespace, spec.ServiceAccount)
	if err != nil {
		return nil, err
	}
	if s.given, err = identity.ParseBundle([]byte(spec.Roots)); err != nil {
		return nil, err
	}
	s.identity = enroll.NewClient(enroll.ClientOptions{
		ID: id, Connect: s.connect(nil), Token: func() (string, error) { return spec.Token, nil },
		Random: rand.Float64, Log: options.Log,
	})
	s.proxy = proxy.New(s.proxyOptions())
	return s, nil
}

// connect makes connections to the control plane, with the workload's certificate where src has one.
func (s *Sidecar) connect(src identity.Source) func(context.Context) (*grpc.ClientConn, error) {
	return func(context.Context) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///"+s.spec.Manager,
			grpc.WithTransportCredentials(credentials.NewTLS(identity.ManagerClientTLS(mesh.ManagerServerName, s.roots, src))))
	}
}

// roots are those that came with the certificate, or the ones that the Spec gave.
func (s *Sidecar) roots() (*identity.Bundle, error) {
	svid, err := s.identity.Identity()
	if errors.Is(err, identity.ErrNoIdentity) {
		return s.given, nil
	}
	if err != nil {
		return nil, err
	}
	return svid.Roots, nil
}

func (s *Sidecar) proxyOptions() proxy.Options {
	var sink telemetry.Sink = telemetry.NewMetrics(s.metrics, 0)
	if s.options.Sink != nil {
		sink = both{sink, s.options.Sink}
	}
	o := proxy.Options{
		Listen: func(d telemetry.Direction) ([]net.Listener, error) {
			if d == telemetry.Inbound {
				return []net.Listener{s.inbound}, nil
			}
			return []net.Listener{s.outbound}, nil
		},
		Original: func(conn net.Conn) (netip.AddrPort, error) {
			at := localAddress(conn)
			if at.Addr() == s.spec.IP {
				return s.inbound.original(at), nil
			}
			return s.outbound.original(at), nil
		},
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", s.spec.Target(to).String())
		},
		Own: func(to netip.AddrPort) (netip.AddrPort, bool) {
			if to.Addr() != s.spec.IP {
				return netip.AddrPort{}, false
			}
			return s.spec.Target(to), true
		},
		Identity: s.identity,
		Control: func(apply func(*config.Config)) proxy.Control {
			s.xds = xdsclient.New(xdsclient.Options{
				Connect: s.connect(s.identity), NodeID: s.kind() + s.spec.Namespace + "/" + s.spec.Pod, Gateway: s.isGateway(), Log: s.options.Log,
				OnConfig: apply, OnBundle: s.setRoots, Backoff: s.options.Backoff,
			})
			return control{s.xds, s.identity.Ready()}
		},
		Sink: sink, Counters: telemetry.NewCounters(s.metrics),
		OnConfig: func(*config.Config) { s.tellReady() },
		Lookup:   s.options.Lookup, Log: s.options.Log,
	}
	if s.isGateway() {
		o.Gateway = s.spec.sockets()
	}
	return o
}

func (s *Sidecar) isGateway() bool { return s.spec.Gateway.IsValid() }

func (s *Sidecar) kind() string {
	if s.isGateway() {
		return "gateway~"
	}
	return "sidecar~"
}

// control connects once there is a certificate to connect with.
type control struct {
	*xdsclient.Client
	enrolled <-chan struct{}
}

func (c control) Run(ctx context.Context) error {
	select {
	case <-c.enrolled:
		return c.Client.Run(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Sidecar) setRoots(pem []byte) {
	bundle, err := identity.ParseBundle(pem)
	if err != nil {
		s.options.Log.Error("roots from the control plane cannot be used, the old ones stay", "error", err.Error())
		return
	}
	s.identity.SetRoots(bundle)
}

// tellReady is called for each configuration, one at a time.
func (s *Sidecar) tellReady() {
	if ready, _ := s.proxy.Ready(); ready && s.options.Ready != nil {
		s.options.Ready()
		s.options.Ready = nil
	}
}

// Update listens at other addresses.
func (s *Sidecar) Update(spec Spec) error {
	return errors.Join(s.inbound.Set(spec.Inbound), s.outbound.Set(spec.Outbound))
}

// Identity is the sidecar's own.
func (s *Sidecar) Identity() *enroll.Client { return s.identity }

// XDS is the client of the control plane.
func (s *Sidecar) XDS() *xdsclient.Client { return s.xds }

// Proxy is the data plane.
func (s *Sidecar) Proxy() *proxy.Proxy { return s.proxy }

// HealthAddress is where a pod's sidecar shows its metrics.
func HealthAddress(pod netip.Addr) netip.AddrPort { return netip.AddrPortFrom(pod, mesh.PortHealth) }

// Run serves until ctx ends.
func (s *Sidecar) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return ended(ctx, s.identity.Run(ctx)) })
	group.Go(func() error { return s.proxy.Run(ctx) })
	if !s.options.NoHealth {
		group.Go(func() error { return s.serveMetrics(ctx) })
	}
	return group.Wait()
}

// ended is nil for what ended because it was told to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *Sidecar) serveMetrics(ctx context.Context) error {
	listener, err := net.Listen("tcp", HealthAddress(s.spec.IP).String())
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	server := &http.Server{Handler: promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}), ReadHeaderTimeout: dialTimeout}
	context.AfterFunc(ctx, func() { server.Close() })
	return ended(ctx, server.Serve(listener))
}

// both hands each record to two sinks.
type both [2]telemetry.Sink

// Request implements telemetry.Sink.
func (b both) Request(r *telemetry.Request) {
	b[0].Request(r)
	b[1].Request(r)
}

// Connection implements telemetry.Sink.
func (b both) Connection(c *telemetry.Connection) {
	b[0].Connection(c)
	b[1].Connection(c)
}
