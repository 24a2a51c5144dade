package main

import (
	"net"
)

// chunk is how much is read and written at once.
const chunk = 256 << 10

// tcp does what the first byte says: 'd' sends until the client has enough, everything else is echoed.
func tcp(conn net.Conn) {
	buf := make([]byte, chunk)
	n, err := conn.Read(buf)
	if err != nil {
		return
	}
	source := buf[0] == 'd'
	for err == nil {
		if source {
			n = len(buf)
		}
		if _, err = conn.Write(buf[:n]); err == nil && !source {
			n, err = conn.Read(buf)
		}
	}
}
