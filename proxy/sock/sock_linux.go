package sock

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Conn is a TCP connection whose Read and Write are one plain system call each, and nothing else where that succeeds.
// One goroutine may read and one may write at a time.
type Conn struct {
	*net.TCPConn
	raw                   syscall.RawConn
	in, out               transfer
	room                  func() []byte    // where to read to, once there is something
	got                   func(n int) bool // what to do with each piece
	looked                bool
	ask, look, wait, each func(fd uintptr) bool
}

// transfer is a call in progress. Its fields belong to the goroutine that reads, or writes.
type transfer struct {
	b     []byte // what is left to fill or to send
	n     int
	errno syscall.Errno
	step  func(fd uintptr) bool // made once: a closure per call would be an allocation per request
}

// Wrap makes Read and Write of a TCP connection cheaper. Other connections are returned as they are.
func Wrap(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn // closed already: whoever uses it will find out
	}
	c := &Conn{TCPConn: tcp, raw: raw}
	c.in.step, c.out.step = c.in.receive, c.out.send
	c.ask, c.look, c.wait, c.each = c.sendOrReceive, c.receiveNow, c.receiveLate, c.receiveEach
	return c
}

// TCP is the connection below.
func (c *Conn) TCP() *net.TCPConn { return c.TCPConn }

// Read reads once.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return c.read(b, c.in.step)
}

func (c *Conn) read(b []byte, step func(fd uintptr) bool) (int, error) {
	c.in.b = b
	err := c.raw.Read(step)
	c.in.b = nil
	switch {
	case err != nil: // closed, or the deadline
		return 0, err
	case c.in.errno != 0:
		return 0, c.failed("read", "recvfrom", c.in.errno)
	case c.in.n == 0:
		return 0, io.EOF
	}
	return c.in.n, nil
}

// Write writes all of b, unless it fails.
func (c *Conn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.out.b, c.out.n, c.out.errno = b, 0, 0
	err := c.raw.Write(c.out.step)
	c.out.b = nil
	if err == nil && c.out.errno != 0 {
		err = c.failed("write", "sendto", c.out.errno)
	}
	return c.out.n, err
}

func (c *Conn) failed(op, call string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, errno)}
}

// Receive reads once from the descriptor of a socket that does not block, for callers that wait in a callback of syscall.RawConn.
func Receive(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		if n, errno := receive(fd, b); errno != syscall.EINTR {
			return n, errno
		}
	}
}

// receive reads once. False: nothing is there yet.
func (t *transfer) receive(fd uintptr) bool {
	for {
		n, errno := receive(fd, t.b)
		switch errno {
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
			continue
		default: // 0 too
		}
		t.n, t.errno = n, errno
		return true
	}
}

// send writes until all is written. False: the rest must wait.
func (t *transfer) send(fd uintptr) bool {
	for {
		n, errno := send(fd, t.b)
		switch errno {
		case 0:
			t.n += n
			if t.b = t.b[n:]; len(t.b) == 0 {
				return true
			}
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			t.errno = errno
			return true
		}
	}
}
