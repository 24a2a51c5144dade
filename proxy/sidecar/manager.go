package sidecar

import (
	"context"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/proxy/xdsclient"
)

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
	// passthrough: the dialer looks the name up, anew for each connection.
	return grpc.NewClient("passthrough:///"+s.Manager, append(xdsclient.DialOptions(),
		grpc.WithTransportCredentials(credentials.NewTLS(identity.ManagerClientTLS(s.ManagerName, s.roots, src))),
		grpc.WithNoProxy())...)
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
