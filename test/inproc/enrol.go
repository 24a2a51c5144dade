package inproc

import (
	"context"
	"log/slog"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
)

// Address is where the control plane listens.
func (m *Mesh) Address() string { return m.address }

// Node is how a proxy introduces itself.
func Node(id string) *corev3.Node { return &corev3.Node{Id: id} }

// Enrol asks once for a certificate of a service account of Namespace with a token; "" when it was issued, else why not.
func (m *Mesh) Enrol(account, token string) string {
	m.T.Helper()
	bundle, err := identity.ParseBundle(m.Plane.Roots())
	if err != nil {
		m.T.Fatal(err)
	}
	client := enroll.NewClient(enroll.ClientOptions{
		ID:    identity.ID{TrustDomain: "cluster.local", Namespace: Namespace, ServiceAccount: account},
		Token: func() (string, error) { return token, nil }, Random: func() float64 { return 0 }, Log: slog.New(slog.DiscardHandler),
		Connect: func(context.Context) (*grpc.ClientConn, error) {
			return grpc.NewClient("passthrough:///"+m.address, grpc.WithTransportCredentials(credentials.NewTLS(
				identity.ManagerClientTLS(mesh.ManagerServerName, func() (*identity.Bundle, error) { return bundle, nil }, nil))))
		},
	})
	ctx, cancel := context.WithCancel(m.T.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = client.Run(ctx) }) // says why it ended: ctx
	defer running.Wait()
	defer cancel()
	m.Eventually("an answer to the enrolment", func() bool {
		_, err := client.Identity()
		return err == nil || client.State().LastError != ""
	})
	return client.State().LastError
}
