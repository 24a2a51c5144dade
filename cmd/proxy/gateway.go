package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/sidecar"
)

// gatewayConfig reads flags and environment of a gateway, and opens the servers of the proxy itself.
func gatewayConfig(args []string, log *slog.Logger, level *slog.LevelVar) (sidecar.Config, error) {
	flags := flag.NewFlagSet("leno-proxy gateway", flag.ContinueOnError)
	common := newSettings(flags)
	settle := flags.Duration("drain-settle", 5*time.Second, "how long no new client must have come before connections are ended in a drain: as long as it takes until everybody knows that the pod's endpoint is gone")
	if err := flags.Parse(args); err != nil {
		return sidecar.Config{}, err
	}
	c, err := common.config(log, level, nil)
	if err != nil {
		return sidecar.Config{}, err
	}
	c.Drain.Settle = *settle
	c.Gateway = &proxy.Gateway{
		Listen:          listenEverywhere,
		ListenDatagrams: listenDatagrams,
		DialDatagrams: func(to netip.AddrPort) (*net.UDPConn, error) {
			return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		},
	}
	return c, serveItself(&c)
}

// listenEverywhere listens at all addresses of both families. IPv6 is optional, a node may have none.
func listenEverywhere(port uint16) ([]net.Listener, error) {
	listener, err := accept.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	return []net.Listener{listener}, nil
}

// listenDatagrams opens a socket; the unspecified address of IPv6 stands for both families, where there are both.
func listenDatagrams(at netip.AddrPort) (*net.UDPConn, error) {
	listen := net.ListenConfig{}
	socket, err := listen.ListenPacket(context.Background(), "udp", at.String())
	if at.Addr() == netip.IPv6Unspecified() && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		socket, err = listen.ListenPacket(context.Background(), "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()).String())
	}
	if err != nil {
		return nil, err
	}
	return socket.(*net.UDPConn), nil // which "udp" always is
}
