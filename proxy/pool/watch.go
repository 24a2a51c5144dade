package pool

import "net"

// Watch tells what happens on a connection while nobody reads from it.
type Watch struct{ probe probe }

// NewWatch watches conn, or the socket under wrappers that have NetConn.
func NewWatch(conn net.Conn) *Watch { return &Watch{newProbe(conn)} }

// Gone tells that the peer closed its side or reset. False where it cannot be known.
func (w *Watch) Gone() bool { return w.probe.ended() }

// Quiet tells that nothing came. True where it cannot be known.
func (w *Watch) Quiet() bool { return w.probe.quiet() }
