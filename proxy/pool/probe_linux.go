package pool

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probe looks whether anything happened on a socket nobody is reading, without taking it. The zero value knows
// nothing. One goroutine may look at a time.
type probe struct {
	raw syscall.RawConn
	at  *glance
}

// glance is what a look needs and finds.
type glance struct {
	peek, poll func(fd uintptr) // made once: a closure per look would be an allocation per request
	silent     bool
	fds        [1]unix.PollFd
	err        error
}

// newProbe finds the socket under conn's wrappers.
func newProbe(conn net.Conn) probe {
	for {
		if s, ok := conn.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return probe{}
			}
			g := new(glance)
			g.peek, g.poll = g.lookForByte, g.lookForEvents
			return probe{raw, g}
		}
		wrapped, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return probe{}
		}
		conn = wrapped.NetConn()
	}
}

// quiet tells that the socket is open and silent: neither data nor the end came. On an idle connection both mean that
// it must not be used again.
func (p *probe) quiet() bool {
	if p.raw == nil {
		return true
	}
	// Control is used rather than Read, which fails once a read deadline has passed.
	err := p.raw.Control(p.at.peek)
	return err == nil && p.at.silent // an error: closed on our side
}

// lookForByte asks for a byte, to be left where it is. This is done before each use of an idle connection, so it is the
// cheapest call that tells, made without the scheduler's book-keeping: it never blocks.
func (g *glance) lookForByte(fd uintptr) {
	var one [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&one)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	g.silent = errno == syscall.EAGAIN
}

// ended tells that the peer closed or reset, whether or not it left data before that.
func (p *probe) ended() bool {
	if p.raw == nil {
		return false
	}
	if err := p.raw.Control(p.at.poll); err != nil {
		return true // closed on our side
	}
	// An interrupted look tells nothing: whoever uses the connection will find out.
	return p.at.err == nil && p.at.fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

func (g *glance) lookForEvents(fd uintptr) {
	g.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}
	_, g.err = unix.Poll(g.fds[:], 0)
}
