package sock

import "net"

// Below is the connection without those around it that make no difference any more: those that looked at its beginning, once all of
// what they read ahead has been read.
func Below(conn net.Conn) net.Conn {
	for {
		wrapped, ok := conn.(interface{ Below() (net.Conn, bool) })
		if !ok {
			return conn
		}
		below, ok := wrapped.Below()
		if !ok {
			return conn
		}
		conn = below
	}
}
