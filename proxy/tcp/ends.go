package tcp

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/proxy/sock"
)

// source is a plain socket that is read from. A buffer is taken only when bytes are there, by trying to read into it:
// asking first would be one more system call for each message.
type source struct {
	conn  *net.TCPConn
	raw   syscall.RawConn
	armed bool // a read deadline of half the idle time is set; it stays until it has passed
	// try is made once: a closure for each read would be an allocation. It leaves its result below.
	try    func(fd uintptr) bool
	buffer *[]byte // nil unless n > 0
	n      int
	err    error
}

func newSource(conn *net.TCPConn) (*source, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &source{conn: conn, raw: raw}
	s.try = func(fd uintptr) bool {
		buffer := buffers.Get().(*[]byte)
		n, errno := sock.Receive(fd, *buffer)
		s.n, s.err = n, nil
		if s.buffer = buffer; n <= 0 {
			s.buffer = nil
			buffers.Put(buffer)
		}
		if errno != 0 {
			s.err = errno
		}
		return errno != syscall.EAGAIN
	}
	return s, nil
}

// release puts back the buffer that was read into.
func (s *source) release() {
	buffers.Put(s.buffer)
	s.buffer = nil
}

// sink is a connection that is written to.
type sink struct {
	conn  net.Conn
	plain *net.TCPConn // the socket, where the connection is nothing else
	armed time.Time    // when the write deadline was set
}

// write moves b. A peer that takes nothing for the idle time is given up.
func (r *Relay) write(out *sink, b []byte, count *atomic.Int64) error {
	now := time.Now()
	r.active.Store(now.UnixNano())
	until := now.Add(r.Idle)
	// Moving a timer costs as much as the rest of this function, so a deadline is used again while it is far away. TLS
	// cannot go on after a deadline, so it gets a new one each time.
	if out.plain == nil || now.Sub(out.armed) > r.Idle/2 {
		out.armed = now
		_ = out.conn.SetWriteDeadline(until)
	}
	for {
		n, err := out.conn.Write(b)
		count.Add(int64(n))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if out.plain == nil || !time.Now().Before(until) {
			return ErrIdle
		}
		b = b[n:]
		out.armed = now
		_ = out.conn.SetWriteDeadline(until)
	}
}
