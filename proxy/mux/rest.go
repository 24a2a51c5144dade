package mux

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/leno-mesh/leno/proxy/sock"
)

// waitResting reads the beginning of what comes without holding a buffer meanwhile.
func (c *Conn) waitResting() error {
	in := &c.in
	if in.buf != nil {
		buffers.give(in.buf)
		in.buf = nil
	}
	n, err := sock.ReadResting(c.conn, in.rest[:])
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	in.buf = buffers.take(smallBuffer)
	in.r, in.w = 0, copy(in.buf, in.rest[:n])
	return nil
}

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// unready wakes a reader that was made ready by streams that have ended since, with nothing read after. The lock is held.
func (c *Conn) unready() {
	if c.in.ready && !c.in.deadline && !c.in.look {
		c.in.look = true
		_ = c.conn.SetReadDeadline(past)
	}
}

// looks tells whether reading ended by unready.
func (c *Conn) looks(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.look
}
