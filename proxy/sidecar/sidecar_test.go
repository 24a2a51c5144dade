package sidecar_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// authority signs for whoever has the token.
type authority struct {
	*devca.CA
	signed chan struct{} // has an element after the first signature
}

func (a authority) Authenticate(_ context.Context, token string) (enroll.Caller, error) {
	if token != "secret" {
		return enroll.Caller{}, enroll.ErrRefused
	}
	return enroll.Caller{Namespace: "shop", ServiceAccount: "web", Pod: "web-1"}, nil
}

func (a authority) Sign(_ context.Context, who enroll.Caller, der []byte) ([]byte, []byte, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, err
	}
	chain, err := a.Workload(must(identity.New("cluster.local", who.Namespace, who.ServiceAccount)), csr.PublicKey, time.Hour)
	select {
	case a.signed <- struct{}{}:
	default:
	}
	return chain, a.Bundle().PEM(), err
}

// manager runs the enrolment half of a control plane.
func manager(t *testing.T) (address string, a authority) {
	a = authority{must(devca.New(time.Hour)), make(chan struct{}, 1)}
	certificate := must(a.Server(time.Hour, "manager.test"))
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ManagerServerTLS(
		func() (*tls.Certificate, error) { return certificate, nil }, a.Bundle))))
	enroll.NewServer(a, a, "cluster.local").Register(server)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String(), a
}

func get(t *testing.T, address net.Addr, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + address.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, string(must(io.ReadAll(response.Body)))
}

func TestRun(t *testing.T) {
	address, ca := manager(t)
	loopback := func() net.Listener { return must(net.Listen("tcp", "127.0.0.1:0")) }
	local, health := loopback(), loopback()
	app := must(net.Listen("tcp", "127.0.0.1:0"))
	defer func() { _ = app.Close() }()
	c := sidecar.Config{
		Namespace: "shop", Pod: "web-1", ServiceAccount: "web", TrustDomain: "cluster.local",
		Manager: address, ManagerName: "manager.test",
		Token:    func() (string, error) { return "secret", nil },
		Roots:    func() (*identity.Bundle, error) { return ca.Bundle(), nil },
		Listen:   func(telemetry.Direction) ([]net.Listener, error) { return []net.Listener{loopback()}, nil },
		Original: func(net.Conn) (netip.AddrPort, error) { return netip.AddrPort{}, errors.New("none") },
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		},
		// The pod's address is an invention; its port is where the application listens.
		Own: func(to netip.AddrPort) (netip.AddrPort, bool) {
			return app.Addr().(*net.TCPAddr).AddrPort(), to.Addr() == netip.MustParseAddr("10.1.2.3")
		},
		Admin: local, Health: health, PodIP: netip.MustParseAddr("10.1.2.3"),
		Probes:    []mesh.Probe{{Container: "web", Kind: mesh.ProbeReadiness, TCP: &mesh.TCPProbe{Port: 8080}}},
		AccessLog: io.Discard, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar),
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sidecar.Run(ctx, c) }()
	<-ca.signed

	// The certificate is on its way: the metric tells when it is in use.
	for {
		if _, text := get(t, health.Addr(), "/metrics"); !strings.Contains(text, "leno_certificate_expiry_timestamp_seconds 0\n") {
			break
		}
	}
	if _, text := get(t, local.Addr(), "/certs"); !strings.Contains(text, "spiffe://cluster.local/ns/shop/sa/web") || strings.Contains(text, "PRIVATE") {
		t.Errorf("/certs: %s", text)
	}
	if code, text := get(t, health.Addr(), "/ready"); code != 503 || !strings.Contains(text, "no configuration") {
		t.Errorf("/ready: %d %s", code, text)
	}
	if code, text := get(t, health.Addr(), "/probe/web/readiness"); code != 200 {
		t.Errorf("/probe: %d %s", code, text)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("does not end")
	}
}

func TestRunRefusesABadIdentity(t *testing.T) {
	if err := sidecar.Run(t.Context(), sidecar.Config{TrustDomain: "NOT/A/DOMAIN", Namespace: "a", ServiceAccount: "b"}); err == nil {
		t.Error("accepted")
	}
}
