// Package control is a control plane for one sidecar: the real one, fed with a small cluster, so that the memory of a
// complete sidecar can be measured.
package control

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/local/plane"
	"github.com/leno-mesh/leno/test/bench/names"
	"github.com/leno-mesh/leno/test/fixture"
)

//go:embed cluster.yaml
var cluster string

// Plane is a running control plane.
type Plane struct {
	Address string
	// Token and Roots are files for the sidecar.
	Token, Roots string

	stop  context.CancelFunc
	ended chan error
}

// Start runs a control plane that knows the backend as Service bench/web, 10.96.0.10:80. Files go to dir.
func Start(dir, backend string) (*Plane, error) {
	host, port, err := net.SplitHostPort(backend)
	if err != nil {
		return nil, err
	}
	events, err := fixture.Parse([]byte(strings.NewReplacer("BACKEND-HOST", host, "BACKEND-PORT", port).Replace(cluster)))
	if err != nil {
		return nil, fmt.Errorf("cluster of the benchmark: %w", err)
	}
	inner, err := plane.New(plane.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	p := &Plane{Token: filepath.Join(dir, "token"), Roots: filepath.Join(dir, "plane-roots.pem"), ended: make(chan error, 1)}
	token := inner.Token(enroll.Caller{Namespace: names.Namespace, ServiceAccount: names.Account, Pod: names.Pod})
	if err := os.WriteFile(p.Token, []byte(token), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.Roots, inner.Roots(), 0o600); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.Address = listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.ended <- inner.Run(ctx, listener) }()
	if err := inner.Send(ctx, events...); err != nil {
		return nil, err
	}
	inner.Synced()
	return p, nil
}

// Stop ends it.
func (p *Plane) Stop() {
	p.stop()
	<-p.ended //nolint:errcheck // an error would have failed the sidecar
}
