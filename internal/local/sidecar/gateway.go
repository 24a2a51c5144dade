package sidecar

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/proxy"
)

// sockets opens the ports of a gateway at its own address instead of at all.
func (s Spec) sockets() *proxy.Gateway {
	options := local.Options{LowestPort: s.LowestPort}
	return &proxy.Gateway{
		Listen: func(port uint16) ([]net.Listener, error) {
			listener, err := net.Listen("tcp", net.JoinHostPort(s.Gateway.String(), strconv.Itoa(int(options.Served(port)))))
			return []net.Listener{listener}, err
		},
		ListenDatagrams: func(at netip.AddrPort) (*net.UDPConn, error) {
			return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Gateway, options.Served(at.Port()))))
		},
		DialDatagrams: func(to netip.AddrPort) (*net.UDPConn, error) {
			return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.Target(to)))
		},
	}
}
