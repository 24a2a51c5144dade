// Package plane is the control plane in one process: the real pipeline, xDS server and enrolment behind one loopback
// listener, with a certificate authority in memory where a cluster has cert-manager.
package plane

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/pipeline"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/internal/xds/server"
)

// caLifetime outlives any run.
const caLifetime = 365 * 24 * time.Hour

// Options of a Plane.
type Options struct {
	// CA signs everything; nil makes one. Give one to let a second Plane take over from a first.
	CA *devca.CA
	// SessionKey seals sessions; zero makes one. Give that of a first Plane to a second one to keep its sessions.
	SessionKey mesh.SessionKey
	// TrustDomain of the identities; "" is graph.DefaultTrustDomain. It must be that of the Mesh object.
	TrustDomain string
	// Lifetime of workload certificates; 0 is 24 hours.
	Lifetime time.Duration
	// Status gets the wanted status of all routes after each change. Optional. It runs on the pipeline's goroutine.
	Status func([]status.Want)
	// Published hears of each mesh after it was handed to the xDS server. Optional, as Status.
	Published func(*mesh.Mesh)
	// Unknown is that of server.Options. Optional.
	Unknown func(mesh.Sighting)
	Log     *slog.Logger
}

// Plane is a control plane. Make one with New, feed it with Send and Synced, run it with Run.
type Plane struct {
	options  Options
	ca       *devca.CA
	serving  *tls.Certificate
	pipeline *pipeline.Pipeline
	xds      *server.Server

	mu     sync.Mutex // guards tokens
	tokens map[string]enroll.Caller
}

// New prepares a control plane.
func New(options Options) (*Plane, error) {
	p := &Plane{options: options, ca: options.CA, tokens: map[string]enroll.Caller{}}
	if p.options.TrustDomain == "" {
		p.options.TrustDomain = graph.DefaultTrustDomain
	}
	if p.options.Lifetime == 0 {
		p.options.Lifetime = 24 * time.Hour
	}
	var err error
	if p.ca == nil {
		if p.ca, err = devca.New(caLifetime); err != nil {
			return nil, err
		}
	}
	if p.options.SessionKey == (mesh.SessionKey{}) {
		_, _ = rand.Read(p.options.SessionKey[:]) // never fails (crypto/rand)
	}
	if p.serving, err = p.ca.Server(caLifetime, mesh.ManagerServerName); err != nil {
		return nil, err
	}
	p.xds = server.New(server.Options{Unknown: options.Unknown, Log: options.Log})
	if err := p.xds.PublishBundle(p.Roots()); err != nil {
		return nil, err
	}
	p.pipeline = pipeline.New(pipeline.Options{
		Graph:   graph.Options{TrustDomain: p.options.TrustDomain, SessionKey: p.options.SessionKey},
		Publish: p.publish,
		Status:  options.Status,
	})
	return p, nil
}

func (p *Plane) publish(m *mesh.Mesh) {
	p.xds.Publish(m)
	if p.options.Published != nil {
		p.options.Published(m)
	}
}

// CA is the authority, for a successor.
func (p *Plane) CA() *devca.CA { return p.ca }

// SessionKey is what sessions are sealed with, for a successor.
func (p *Plane) SessionKey() mesh.SessionKey { return p.options.SessionKey }

// XDS is the server, for its statistics.
func (p *Plane) XDS() *server.Server { return p.xds }

// Roots is the trust bundle in PEM.
func (p *Plane) Roots() []byte { return p.ca.Bundle().PEM() }

// Send hands over news of the cluster.
func (p *Plane) Send(ctx context.Context, events ...snapshot.Event) error {
	return p.pipeline.Send(ctx, events...)
}

// Synced says that the first complete list was sent.
func (p *Plane) Synced() { p.pipeline.Synced() }

// Token makes a token by which a pod's sidecar may enrol: the stand-in for its service-account token.
func (p *Plane) Token(pod enroll.Caller) string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	token := hex.EncodeToString(raw)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens[token] = pod
	return token
}

// Adopt accepts a token that another Plane made.
func (p *Plane) Adopt(token string, pod enroll.Caller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens[token] = pod
}

// Authenticate implements enroll.Authenticator.
func (p *Plane) Authenticate(_ context.Context, token string) (enroll.Caller, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if who, known := p.tokens[token]; known {
		return who, nil
	}
	return enroll.Caller{}, fmt.Errorf("token of no pod of this run: %w", enroll.ErrRefused)
}

// Sign implements enroll.Signer. The server has checked that the request asks for the caller's own identity.
func (p *Plane) Sign(_ context.Context, who enroll.Caller, csrDER []byte) (chainPEM, rootsPEM []byte, err error) {
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate request: %w", err)
	}
	id, err := identity.New(p.options.TrustDomain, who.Namespace, who.ServiceAccount)
	if err != nil {
		return nil, nil, err
	}
	chain, err := p.ca.Workload(id, csr.PublicKey, p.options.Lifetime)
	return chain, p.Roots(), err
}

// Run serves on listener until ctx ends; streams are then cut, as by a crash. It closes the listener.
func (p *Plane) Run(ctx context.Context, listener net.Listener) error {
	credential := credentials.NewTLS(identity.ManagerServerTLS(
		func() (*tls.Certificate, error) { return p.serving, nil },
		p.ca.Bundle,
	))
	rpc := grpc.NewServer(append(server.GRPCOptions(), grpc.Creds(credential))...)
	p.xds.Register(rpc)
	enroll.NewServer(p, p, p.options.TrustDomain).Register(rpc)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.pipeline.Run(ctx) })
	group.Go(func() error {
		context.AfterFunc(ctx, rpc.Stop)
		if err := rpc.Serve(listener); err != nil && ctx.Err() == nil {
			return fmt.Errorf("control plane on %s: %w", listener.Addr(), err)
		}
		return nil
	})
	return group.Wait()
}
