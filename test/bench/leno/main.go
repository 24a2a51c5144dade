// Command leno is one sidecar for the benchmark: the production data plane with everything that is in the path of a
// request, a fixed configuration instead of a control plane, and original destinations that are told by flags instead of
// the kernel. Without -inbound it is the client's sidecar, with it the server's.
package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// settings of the sidecar.
type settings struct {
	listen, debug      string
	upstream           netip.AddrPort
	inbound            bool
	protocol           config.Protocol
	peer               string // SPIFFE id of the upstream; empty: plain text
	chain, key, bundle string // files
	manager, token     string // address of the control plane, and the file to enrol with; empty: the configuration is fixed
}

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "", "address to listen at")
	flag.StringVar(&s.debug, "debug", "", "address for profiles and allocation counts")
	flag.TextVar(&s.upstream, "upstream", netip.AddrPort{}, "address of the endpoint, or of the application")
	flag.BoolVar(&s.inbound, "inbound", false, "be the server's sidecar, which accepts only mutual TLS")
	protocol := flag.String("protocol", string(config.HTTP), "declared protocol: HTTP, HTTP2 or TCP")
	flag.StringVar(&s.peer, "peer", "", "SPIFFE id of the upstream; empty: plain text")
	flag.StringVar(&s.chain, "chain", "", "PEM file with the certificate")
	flag.StringVar(&s.key, "key", "", "PEM file with its key")
	flag.StringVar(&s.bundle, "roots", "", "PEM file with the roots")
	flag.StringVar(&s.manager, "manager", "", "address of a control plane: be a complete sidecar")
	flag.StringVar(&s.token, "token", "", "file with the token to enrol with")
	flag.Parse()
	s.protocol = config.Protocol(*protocol)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	start := run
	if s.manager != "" {
		start = runWhole
	}
	err := start(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "leno:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	source, err := s.identity()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	accessLog := telemetry.NewAccessLog() // there as in production, and off
	p := proxy.New(proxy.Options{
		Listen: s.open, Original: s.original, Dial: dial, Own: s.own, Identity: source,
		Control: func(apply func(*config.Config)) proxy.Control {
			apply(s.config())
			return fixed{}
		},
		Sink:     telemetry.Tee{telemetry.NewMetrics(registry, 0), accessLog},
		Counters: telemetry.NewCounters(registry), Log: log,
		OnConfig: func(c *config.Config) { accessLog.Enable(c.AccessLog) },
	})
	if err := serveDebug(s.debug, registry); err != nil {
		return err
	}
	return p.Run(ctx)
}

// identity reads the certificate; without one there is none to show.
func (s *settings) identity() (identity.Source, error) {
	if s.chain == "" {
		return identity.Fixed{}, nil
	}
	chain, err1 := os.ReadFile(s.chain)
	keyPEM, err2 := os.ReadFile(s.key)
	roots, err3 := os.ReadFile(s.bundle)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", s.key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.key, err)
	}
	bundle, err := identity.ParseBundle(roots)
	if err != nil {
		return nil, err
	}
	svid, err := identity.NewSVID(chain, key.(crypto.Signer), bundle) // all PKCS #8 signing keys are Signers
	return identity.Fixed{SVID: svid}, err
}

func (s *settings) open(d telemetry.Direction) ([]net.Listener, error) {
	if (d == telemetry.Inbound) != s.inbound {
		return nil, nil
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return nil, err
	}
	return []net.Listener{listener}, nil
}

// service is the address that the client would have dialled, were its connections captured.
var service = netip.MustParseAddrPort("10.96.0.10:80")

func (s *settings) original(conn net.Conn) (netip.AddrPort, error) {
	if s.inbound {
		return conn.LocalAddr().(*net.TCPAddr).AddrPort(), nil
	}
	return service, nil
}

func (s *settings) own(netip.AddrPort) (netip.AddrPort, bool) { return s.upstream, s.inbound }

func dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// fixed is a control plane that has said everything already.
type fixed struct{}

func (fixed) Run(ctx context.Context) error  { <-ctx.Done(); return ctx.Err() }
func (fixed) Release(netip.AddrPort)         {}
func (fixed) Refused(netip.AddrPort, string) {}
func (fixed) Outbound(context.Context, netip.AddrPort) (*config.Config, bool) {
	return nil, false
}
