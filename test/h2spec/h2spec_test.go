// Package h2spec runs h2spec, the conformance suite for HTTP/2 servers, against every listener of a real sidecar that speaks HTTP/2.
package h2spec

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/proxy"
	leno "github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/forward"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/telemetry"
	"github.com/leno-mesh/leno/proxy/tlsx"
)

// cases is how many there are in h2spec, so that a run that leaves some out is noticed.
const cases = 146

func TestH2spec(t *testing.T) {
	for _, way := range []struct {
		name    string
		cluster leno.HTTPVersion
		at      func(*pair) netip.AddrPort
	}{
		{"inbound, plain text", leno.SameHTTP, func(p *pair) netip.AddrPort { return p.inbound }},
		{"inbound, mutual TLS", leno.SameHTTP, func(p *pair) netip.AddrPort { return p.secure }},
		{"outbound, to another sidecar over mutual TLS", leno.SameHTTP, func(p *pair) netip.AddrPort { return p.outbound }},
		{"outbound, to a backend that gets HTTP/1.1", leno.HTTP1Only, func(p *pair) netip.AddrPort { return p.outbound }},
	} {
		t.Run(way.name, func(t *testing.T) {
			at := way.at(newPair(t, way.cluster))
			c := &config.Config{
				Host: at.Addr().String(), Port: int(at.Port()), Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, Strict: true,
			}
			total := 0
			for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
				group.Test(c)
				total += group.PassedCount + group.FailedCount + group.SkippedCount
				report(t, group)
			}
			if total != cases {
				t.Errorf("%d cases were run, want %d", total, cases)
			}
		})
	}
}

// report fails the test by each case that did not pass.
func report(t *testing.T, group *spec.TestGroup) {
	for _, tc := range append(group.Tests, group.StrictTests...) {
		if r := tc.Result; r != nil && (r.Failed || r.Skipped) {
			t.Errorf("%s, %s: %s: failed %v, skipped %v: %v", group.ID(), group.Title(), tc.Desc, r.Failed, r.Skipped, r.Error)
		}
	}
	for _, g := range group.Groups {
		report(t, g)
	}
}

// service is what the client dials.
var service = netip.MustParseAddrPort("10.96.0.10:80")

// pair is two sidecars: one of a client, one in front of an application.
type pair struct {
	outbound, inbound netip.AddrPort
	secure            netip.AddrPort // adds mutual TLS in front of inbound
}

func newPair(t *testing.T, version leno.HTTPVersion) *pair {
	t.Helper()
	ca := must(devca.New(time.Hour))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	app := &http.Server{Protocols: protocols, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "woven")
	})}
	l := listen(t)
	go func() { _ = app.Serve(l) }()
	t.Cleanup(func() { _ = app.Close() })

	server := id("cart")
	_, in := sidecar(t, ca, server, address(l), leno.Config{})
	name := "cart"
	web := id("web")
	out, _ := sidecar(t, ca, web, netip.AddrPort{}, leno.Config{
		Outbound: map[netip.AddrPort]*leno.Listener{service: {Name: name, Protocol: leno.HTTP2, Cluster: name, Service: "shop/cart"}},
		Clusters: map[string]*leno.Cluster{name: {
			Name: name, Service: "shop/cart", HTTP: version, Endpoints: []leno.Endpoint{{Address: in, Identity: server.String()}},
		}},
	})
	return &pair{outbound: out, inbound: in, secure: wrap(t, ca, web, in, server)}
}

// sidecar runs one and returns the addresses of its two listeners. What arrives at the first goes to service, what arrives at the
// second to app.
func sidecar(t *testing.T, ca *devca.CA, self identity.ID, app netip.AddrPort, cfg leno.Config) (outbound, inbound netip.AddrPort) {
	t.Helper()
	out, in := listen(t), listen(t)
	cfg.Inbound = &leno.Inbound{Protocols: map[uint16]leno.Protocol{address(in).Port(): leno.HTTP2}, Workload: leno.Workload{Namespace: "shop", Name: self.ServiceAccount, Identity: self.String()}}
	p := proxy.New(proxy.Options{
		Listen: func(d telemetry.Direction) ([]net.Listener, error) {
			if d == telemetry.Outbound {
				return []net.Listener{out}, nil
			}
			return []net.Listener{in}, nil
		},
		Original: func(c net.Conn) (netip.AddrPort, error) {
			if local := must(netip.ParseAddrPort(c.LocalAddr().String())); local == address(in) {
				return local, nil
			}
			return service, nil
		},
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		},
		Own:      func(to netip.AddrPort) (netip.AddrPort, bool) { return app, to == address(in) },
		Control:  func(func(*leno.Config)) proxy.Control { return control{} },
		Identity: source{must(ca.SVID(self, time.Hour))}, Sink: sink{}, Counters: telemetry.NewCounters(prometheus.NewRegistry()),
		Log: slog.New(slog.DiscardHandler),
	})
	p.Apply(&cfg)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return address(out), address(in)
}

// wrap listens for plain text and passes it on to a sidecar over mutual TLS, as another sidecar would.
func wrap(t *testing.T, ca *devca.CA, self identity.ID, to netip.AddrPort, server identity.ID) netip.AddrPort {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	dialer := &tlsx.Dialer{
		Source: source{must(ca.SVID(self, time.Hour))},
		Raw: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		},
		Own: func(netip.AddrPort) (netip.AddrPort, bool) { return netip.AddrPort{}, false },
	}
	go func() {
		for {
			plain, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = plain.Close() }()
				secured, err := dialer.Dial(context.Background(), pool.Target{Address: to, Identity: server.String(), ALPN: forward.ALPN2})
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = secured.Close() }()
				go func() {
					_, _ = io.Copy(secured, plain)
					_ = secured.(interface{ CloseWrite() error }).CloseWrite()
				}()
				_, _ = io.Copy(plain, secured)
			}()
		}
	}()
	return address(l)
}

type control struct{}

func (control) Run(ctx context.Context) error  { <-ctx.Done(); return nil }
func (control) Release(netip.AddrPort)         {}
func (control) Refused(netip.AddrPort, string) {}
func (control) Outbound(context.Context, netip.AddrPort) (*leno.Config, bool) {
	return nil, false
}

type source struct{ svid *identity.SVID }

func (s source) Identity() (*identity.SVID, error) { return s.svid, nil }

type sink struct{}

func (sink) Request(*telemetry.Request)       {}
func (sink) Connection(*telemetry.Connection) {}

func id(name string) identity.ID { return must(identity.New("cluster.local", "shop", name)) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func address(l net.Listener) netip.AddrPort { return must(netip.ParseAddrPort(l.Addr().String())) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprint(err))
	}
	return v
}
