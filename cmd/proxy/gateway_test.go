package main

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
)

func TestGatewayWantsToKnowWhoItIs(t *testing.T) {
	for _, name := range []string{mesh.EnvPodName, mesh.EnvPodNamespace, mesh.EnvServiceAccount} {
		t.Setenv(name, "")
	}
	_, err := gatewayConfig([]string{"--namespace=edge", "--pod=gw-1"}, slog.New(slog.DiscardHandler), new(slog.LevelVar))
	if err == nil || !strings.Contains(err.Error(), "--service-account is not set") {
		t.Errorf("%v", err)
	}
	_, err = gatewayConfig([]string{"--log-level=loud"}, slog.New(slog.DiscardHandler), new(slog.LevelVar))
	if err == nil || !strings.Contains(err.Error(), "--log-level") {
		t.Errorf("%v", err)
	}
}

// TestListenEverywhere: a port and a socket for datagrams are there for both families.
func TestListenEverywhere(t *testing.T) {
	listeners, err := listenEverywhere(0)
	if err != nil || len(listeners) != 1 {
		t.Fatalf("%v %v", listeners, err)
	}
	if err := listeners[0].Close(); err != nil {
		t.Error(err)
	}
	socket, err := listenDatagrams(netip.AddrPortFrom(netip.IPv6Unspecified(), 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Close(); err != nil {
		t.Error(err)
	}
}
