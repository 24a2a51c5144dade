package forward

import (
	"errors"
	"net"
	"os"
	"time"
)

// lateReader is a connection that can be waited on without a buffer.
type lateReader interface {
	ReadLate(room func() []byte) (int, error)
}

// findLate looks for a socket that is read without any layer between. Those that looked at the connection's beginning
// are none, once all of what they read ahead has been read.
func (s *session) findLate() {
	conn := s.conn
	for {
		if late, ok := conn.(lateReader); ok {
			s.late = late
			s.roomIn = func() []byte {
				if s.x == nil {
					s.x = newExchange()
				}
				return s.x.in.buf[s.x.in.w:]
			}
			return
		}
		wrapped, ok := conn.(interface{ Below() (net.Conn, bool) })
		if !ok {
			return
		}
		if conn, ok = wrapped.Below(); !ok {
			return
		}
	}
}

// awaitLate waits for the first byte of a request like awaitRequest, holding nothing.
func (s *session) awaitLate() bool {
	s.armRead(s.last, s.srv.opts.Idle)
	// See awaitRequest for the order.
	if s.srv.draining.Load() {
		return s.pending()
	}
	for {
		n, err := s.late.ReadLate(s.roomIn)
		if err == nil {
			s.x.in.w += n
			return true
		}
		until := s.last.Add(s.srv.opts.Idle)
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false
		case s.srv.draining.Load():
			return s.pending()
		case !time.Now().Before(until):
			return false
		}
		s.setRead(until)
	}
}
