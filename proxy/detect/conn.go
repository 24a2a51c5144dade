package detect

import (
	"io"
	"net"
)

// Conn is a connection whose first bytes were looked at. Reading gives them again.
type Conn struct {
	net.Conn
	peeked []byte
	one    [1]byte // what a silent client is waited for with
	eof    bool    // the end was seen while peeking
}

// Read gives the peeked bytes first.
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.peeked) > 0 {
		n := copy(b, c.peeked)
		if c.peeked = c.peeked[n:]; len(c.peeked) == 0 {
			c.peeked = nil
		}
		return n, nil
	}
	if c.eof {
		return 0, io.EOF
	}
	return c.Conn.Read(b)
}

// Take gives the peeked bytes away; the rest is read from the connection below, which is what lets the kernel splice.
func (c *Conn) Take() []byte {
	taken := c.peeked
	c.peeked = nil
	return taken
}

// Below is the connection below, from when on reading from it is the same; false before.
func (c *Conn) Below() (net.Conn, bool) { return c.Conn, len(c.peeked) == 0 && !c.eof }

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends our direction, where the connection can.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
