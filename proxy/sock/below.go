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

// ReadResting is Read of a connection that may rest for long: where it, or what is below, can take less of the stack while it is waited
// for, in that way.
func ReadResting(conn net.Conn, b []byte) (int, error) {
	if resting, ok := Below(conn).(interface{ ReadResting([]byte) (int, error) }); ok {
		return resting.ReadResting(b)
	}
	return conn.Read(b)
}
