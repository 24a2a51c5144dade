package pool

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// probe looks whether anything happened on a socket nobody is reading, without taking it. The zero value knows
// nothing.
type probe struct {
	raw  syscall.RawConn
	look func(fd uintptr) // made once: a closure per look would be an allocation per request
	seen *seen
}

type seen struct {
	fds [1]unix.PollFd
	err error
}

// newProbe finds the socket under conn's wrappers.
func newProbe(conn net.Conn) probe {
	for {
		if s, ok := conn.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return probe{}
			}
			p := probe{raw: raw, seen: new(seen)}
			seen := p.seen
			p.look = func(fd uintptr) {
				seen.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}
				_, seen.err = unix.Poll(seen.fds[:], 0)
			}
			return p
		}
		wrapped, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return probe{}
		}
		conn = wrapped.NetConn()
	}
}

// events asks the kernel. Control is used rather than Read, which fails once a read deadline has passed.
func (p *probe) events() int16 {
	if err := p.raw.Control(p.look); err != nil {
		return unix.POLLHUP // closed on our side
	}
	if p.seen.err != nil {
		return 0 // interrupted: whoever uses the connection will find out
	}
	return p.seen.fds[0].Revents
}

// quiet tells that the socket is open and silent: neither data nor the end came. On an idle connection both mean that
// it must not be used again.
func (p *probe) quiet() bool { return p.raw == nil || p.events() == 0 }

// ended tells that the peer closed or reset, whether or not it left data before that.
func (p *probe) ended() bool {
	return p.raw != nil && p.events()&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
