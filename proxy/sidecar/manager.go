package sidecar

import (
	"context"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leno-mesh/leno/internal/identity"
)

// keepAlive finds out within half a minute that the manager's node is gone. It is TCP's own, because HTTP/2 pings need
// the server's consent.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// connectAnonymous is for enrolment: no certificate is shown, the token says who asks.
func (s *sidecar) connectAnonymous(context.Context) (*grpc.ClientConn, error) {
	return s.connect(nil)
}

// connectKnown is for configuration: it waits for the first certificate.
func (s *sidecar) connectKnown(ctx context.Context) (*grpc.ClientConn, error) {
	select {
	case <-s.enroll.Ready():
		return s.connect(s.enroll)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *sidecar) connect(src identity.Source) (*grpc.ClientConn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAliveConfig: keepAlive}
	// passthrough: the name is looked up at each connection, by the dialer.
	return grpc.NewClient("passthrough:///"+s.Manager,
		grpc.WithTransportCredentials(credentials.NewTLS(identity.ManagerClientTLS(s.ManagerName, s.roots, src))),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}),
		grpc.WithNoProxy())
}

// FileBundle reads a trust bundle from a file, anew at each call: the kubelet replaces it.
func FileBundle(path string) func() (*identity.Bundle, error) {
	return func() (*identity.Bundle, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return identity.ParseBundle(text)
	}
}
