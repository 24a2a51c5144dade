package detect

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Wrap makes a Conn of a connection that nobody has looked at.
func Wrap(conn net.Conn) *Conn { return &Conn{Conn: conn} }

var past = time.Unix(1, 0)

// First waits until the client or the server says something, and tells what the client's verdict is and whether the
// server spoke or went away. It is for clients that were silent: their upstream is open by now.
func First(client, server *Conn) (verdict Verdict, serverSpoke bool, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		serverSpoke = server.await()
		if serverSpoke {
			_ = client.SetReadDeadline(past)
		}
	}()
	verdict, err = client.Sniff(-1)
	_ = server.SetReadDeadline(past)
	<-done
	_ = server.SetReadDeadline(time.Time{})
	_ = client.SetReadDeadline(time.Time{})
	return verdict, serverSpoke, err
}

// await reads ahead until there is something, or the end; false when its deadline was set into the past.
func (c *Conn) await() bool {
	err := c.more()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.eof = errors.Is(err, io.EOF)
	return true
}
