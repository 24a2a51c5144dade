package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// originalDestination is SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST (linux/netfilter_ipv4.h, netfilter_ipv6/ip6_tables.h).
const originalDestination = 80

// Original is where a redirected connection wanted to go. A connection that came here directly gives its own local
// address.
func Original(conn net.Conn) (netip.AddrPort, error) {
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("original destination: %T is not a TCP connection", conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	var found netip.AddrPort
	ask := originalIPv6
	if local.Addr().Is4() {
		ask = originalIPv4
	}
	if controlErr := raw.Control(func(fd uintptr) { found, err = ask(int(fd)) }); controlErr != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", controlErr)
	}
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOPROTOOPT): // not tracked: nobody redirected it
		return local, nil
	default:
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
}

// originalIPv4 reads a struct sockaddr_in through the wrapper for a struct that is larger.
func originalIPv4(fd int) (netip.AddrPort, error) {
	got, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	raw := got.Multiaddr // family (2 bytes), port (2, network order), address (4)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), binary.BigEndian.Uint16(raw[2:4])), nil
}

// originalIPv6 reads a struct sockaddr_in6, which is how struct ip6_mtuinfo begins.
func originalIPv6(fd int) (netip.AddrPort, error) {
	got, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], got.Addr.Port) // the field is in network order
	return netip.AddrPortFrom(netip.AddrFrom16(got.Addr.Addr), binary.BigEndian.Uint16(port[:])), nil
}
