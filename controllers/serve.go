package controllers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/leno-mesh/leno/controllers/certificates"
	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/enroll/enrollpb"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/xds/server"
)

// drainFor is how long calls may end by themselves at shutdown. Discovery streams do not end by themselves: proxies keep
// what they have and connect to another replica.
const drainFor = 3 * time.Second

// grpcServer serves discovery and enrolment to sidecars, on every replica.
type grpcServer struct {
	address string
	trust   *certificates.Trust
	ads     *server.Server
	enrol   *enrolment
	// bound gets the address that is listened on.
	bound func(net.Addr)
}

// NeedLeaderElection is false.
func (*grpcServer) NeedLeaderElection() bool { return false }

// Start serves until ctx ends, then drains.
func (g *grpcServer) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", g.address)
	if err != nil {
		return fmt.Errorf("listen for proxies: %w", err)
	}
	slog.InfoContext(ctx, "serving proxies", "address", listener.Addr().String())
	if g.bound != nil {
		g.bound(listener.Addr())
	}
	tls := identity.ManagerServerTLS(g.trust.Serving, g.trust.Roots)
	s := grpc.NewServer(append(server.GRPCOptions(), grpc.Creds(credentials.NewTLS(tls)))...)
	g.ads.Register(s)
	enrollpb.RegisterEnrollmentServiceServer(s, g.enrol)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		hard := time.AfterFunc(drainFor, s.Stop)
		defer hard.Stop()
		s.GracefulStop()
	}()
	if err := s.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve proxies: %w", err)
	}
	<-stopped
	return nil
}

// enrolment is the enrolment service for the trust domain of the moment; it waits for the first Mesh.
type enrolment struct {
	enrollpb.UnimplementedEnrollmentServiceServer
	authenticator enroll.Authenticator
	signer        *certificates.Signer

	current atomic.Pointer[trustDomainServer]
}

type trustDomainServer struct {
	trustDomain string
	*enroll.Server
}

// use makes a trust domain the one that identities are signed in.
func (e *enrolment) use(trustDomain string) {
	if now := e.current.Load(); now != nil && now.trustDomain == trustDomain {
		return
	}
	next := enroll.NewServer(e.authenticator, e.signer, trustDomain)
	next.OnRefusal(e.signer.Refused)
	e.current.Store(&trustDomainServer{trustDomain, next})
}

// Sign hands over to the server of the trust domain.
func (e *enrolment) Sign(ctx context.Context, request *enrollpb.SignRequest) (*enrollpb.SignResponse, error) {
	s := e.current.Load()
	if s == nil {
		return nil, status.Error(codes.Unavailable, "the manager is starting: it has not read the cluster yet")
	}
	return s.Sign(ctx, request)
}
