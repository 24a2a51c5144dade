package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/proxy/sidecar"
	"github.com/leno-mesh/leno/test/bench/names"
)

// runWhole is a complete sidecar, with enrolment, control plane client, admin and health servers: what leno-proxy runs,
// but on loopback and without redirection.
func runWhole(ctx context.Context, s settings) error {
	var level slog.LevelVar
	c := sidecar.Config{
		Namespace: names.Namespace, Pod: names.Pod, ServiceAccount: names.Account, TrustDomain: names.TrustDomain,
		Manager: s.manager, ManagerName: mesh.ManagerServerName, Token: enroll.FileToken(s.token), Roots: sidecar.FileBundle(s.bundle),
		Listen: s.open, Original: s.original, Dial: dial, Own: s.own, PodIP: netip.MustParseAddr("10.244.0.11"),
		AccessLog: io.Discard, Log: slog.Default(), Level: &level,
	}
	var err1, err2 error
	c.Admin, err1 = net.Listen("tcp", "127.0.0.1:0")
	c.Health, err2 = net.Listen("tcp", s.debug)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return sidecar.Run(ctx, c)
}
