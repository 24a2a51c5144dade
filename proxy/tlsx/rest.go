package tlsx

import (
	"errors"
	"os"

	"github.com/leno-mesh/leno/proxy/sock"
)

// waiter is a socket that can be waited on without reading from it.
type waiter interface {
	Await() error
	ReadNow(b []byte) (int, error)
}

// ReadResting is Read for a connection that may rest for long. What crypto/tls has on the stack while it waits for bytes would keep
// that at twice its size. So where there are none, it is told that its time is up, which it takes for passing, and is asked again when
// there are.
func (c *Conn) ReadResting(b []byte) (int, error) {
	below, ok := sock.Below(c.socket.Conn).(waiter)
	if !ok {
		return c.Read(b)
	}
	for {
		c.socket.now = below
		n, err := c.Read(b)
		c.socket.now = nil
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case n > 0:
			return n, nil
		}
		if err := below.Await(); err != nil {
			return 0, err
		}
	}
}

// Await waits for something that is worth another Read, after one whose time was up: then there is no record left that came as a whole.
// Where the socket cannot tell, it does not wait.
func (c *Conn) Await() error {
	if below, ok := sock.Below(c.socket.Conn).(waiter); ok {
		return below.Await()
	}
	return nil
}

// Read reads what is there, or waits.
func (s *socket) Read(b []byte) (int, error) {
	if s.now == nil {
		return s.Conn.Read(b)
	}
	n, err := s.now.ReadNow(b)
	if n == 0 && err == nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}
