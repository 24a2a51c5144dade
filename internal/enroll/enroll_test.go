package enroll_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/enroll/enrollpb"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
)

const managerName = "leno-manager.leno-system.svc"

// tokens is an Authenticator: token -> service account in namespace shop.
type tokens map[string]string

func (a tokens) Authenticate(_ context.Context, token string) (enroll.Caller, error) {
	if token == "outage" {
		return enroll.Caller{}, errors.New("API server is away")
	}
	account, ok := a[token]
	if !ok {
		return enroll.Caller{}, fmt.Errorf("token not known: %w", enroll.ErrRefused)
	}
	return enroll.Caller{Namespace: "shop", ServiceAccount: account, Pod: "pod-1"}, nil
}

// signer signs with the current CA for 24 hours.
type signer struct {
	ca     atomic.Pointer[devca.CA]
	signed atomic.Int32
	fail   atomic.Bool
}

func (s *signer) Sign(_ context.Context, who enroll.Caller, der []byte) ([]byte, []byte, error) {
	if s.fail.Load() {
		return nil, nil, errors.New("issuer is not ready")
	}
	s.signed.Add(1)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, err
	}
	id := must(identity.New("cluster.local", who.Namespace, who.ServiceAccount))
	chain, err := s.ca.Load().Workload(id, csr.PublicKey, 24*time.Hour)
	return chain, s.ca.Load().Bundle().PEM(), err
}

// manager runs a Server over TLS in memory and returns how to connect to it.
func manager(t *testing.T, s *signer) func(context.Context) (*grpc.ClientConn, error) {
	ca := must(devca.New(1000 * time.Hour))
	s.ca.Store(ca)
	certificate := must(ca.Server(1000*time.Hour, managerName))
	serverTLS := identity.ManagerServerTLS(func() (*tls.Certificate, error) { return certificate, nil }, ca.Bundle)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(serverTLS)))
	enroll.NewServer(tokens{"token-of-cart": "cart", "token-of-pay": "pay"}, s, "cluster.local").Register(server)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return func(context.Context) (*grpc.ClientConn, error) {
		clientTLS := identity.ManagerClientTLS(managerName, func() (*identity.Bundle, error) { return ca.Bundle(), nil }, nil)
		return grpc.NewClient("passthrough:///"+managerName, grpc.WithTransportCredentials(credentials.NewTLS(clientTLS)),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	}
}

func TestSignAnswers(t *testing.T) {
	s := &signer{}
	conn := must(manager(t, s)(t.Context()))
	defer func() { _ = conn.Close() }()
	csr := must(identity.NewCSR(must(identity.NewKey()), cart))
	for _, tc := range []struct {
		name, token string
		csr         []byte
		want        codes.Code
	}{
		{"own identity", "token-of-cart", csr, codes.OK},
		{"somebody else's identity", "token-of-pay", csr, codes.PermissionDenied},
		{"unknown token", "stolen", csr, codes.Unauthenticated},
		{"empty token", "", csr, codes.Unauthenticated},
		{"garbage request", "token-of-cart", []byte("garbage"), codes.InvalidArgument},
		{"API server away", "outage", csr, codes.Unavailable},
	} {
		_, err := enrollpb.NewEnrollmentServiceClient(conn).Sign(t.Context(), &enrollpb.SignRequest{CsrDer: tc.csr},
			grpc.PerRPCCredentials(header("Bearer "+tc.token)))
		if status.Code(err) != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	s.fail.Store(true)
	_, err := enrollpb.NewEnrollmentServiceClient(conn).Sign(t.Context(), &enrollpb.SignRequest{CsrDer: csr}, grpc.PerRPCCredentials(header("Bearer token-of-cart")))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("issuer not ready: %v", err)
	}
}

type header string

func (h header) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(h)}, nil
}
func (header) RequireTransportSecurity() bool { return true }

func client(connect func(context.Context) (*grpc.ClientConn, error), token func() (string, error)) *enroll.Client {
	return enroll.NewClient(enroll.ClientOptions{
		ID: cart, Connect: connect, Token: token, Random: func() float64 { return 0 }, Log: slog.New(slog.DiscardHandler),
	})
}

// TestClientTimeline follows one client through issue, outage, recovery and a change of roots, in virtual time.
func TestClientTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := client(manager(t, s), func() (string, error) { return "token-of-cart", nil })
		if _, err := c.Identity(); !errors.Is(err, identity.ErrNoIdentity) {
			t.Fatalf("before the first: %v", err)
		}
		go func() { _ = c.Run(ctx) }()
		<-c.Ready()
		synctest.Wait()
		first := must(c.Identity())
		if first.ID != cart || c.State().Failures != 0 {
			t.Fatalf("first: %v, %+v", first, c.State())
		}

		time.Sleep(17 * time.Hour) // two thirds of 24 h are over
		synctest.Wait()
		second := must(c.Identity())
		if s.signed.Load() != 2 || !second.NotAfter.After(first.NotAfter) {
			t.Fatalf("after two thirds: %d signed, %v", s.signed.Load(), second)
		}

		s.fail.Store(true)
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		state := c.State()
		if kept := must(c.Identity()); kept != second || state.Failures == 0 || !strings.Contains(state.LastError, "issuer is not ready") {
			t.Fatalf("while the issuer is away: %v, %+v", kept, state)
		}

		s.fail.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		third := must(c.Identity())
		if third == second || c.State().Failures != 0 || c.State().LastError != "" {
			t.Fatalf("after the outage: %v, %+v", third, c.State())
		}

		rotated := must(devca.New(1000 * time.Hour))
		before := s.signed.Load()
		c.SetRoots(identity.Union(third.Roots, rotated.Bundle()))
		synctest.Wait()
		if got := must(c.Identity()); len(got.Roots.Roots()) != 2 || s.signed.Load() != before {
			t.Fatalf("a further root must not need a new certificate: %v", got)
		}
		s.ca.Store(rotated)
		c.SetRoots(rotated.Bundle())
		synctest.Wait()
		if got := must(c.Identity()); s.signed.Load() != before+1 || !got.Roots.Equal(rotated.Bundle()) {
			t.Fatalf("a certificate without root must be renewed: %v", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestTokenStaysOffPlainConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := func(context.Context) (*grpc.ClientConn, error) {
			return grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()))
		}
		c := client(plain, func() (string, error) { return "token-of-cart", nil })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = c.Run(ctx) }()
		synctest.Wait()
		if got := c.State().LastError; !strings.Contains(got, "transport") {
			t.Errorf("last error: %s", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestFileToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	token := enroll.FileToken(path)
	if _, err := token(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	for _, text := range []string{"one\n", "two"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := token(); err != nil || got != strings.TrimSpace(text) {
			t.Errorf("got %q, %v", got, err)
		}
	}
}
