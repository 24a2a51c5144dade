package tlsx

import (
	"crypto/tls"
	"net"
	"sync"
)

// recordsPerWrite is how much goes into one system call: crypto/tls would make one for each record of 16 KiB.
const recordsPerWrite = 64 << 10

// Conn is a TLS connection whose large writes cost few system calls.
type Conn struct {
	*tls.Conn
	socket  *socket
	writing sync.Mutex
}

// Write writes b. Small writes are one record, and one system call, anyway.
func (c *Conn) Write(b []byte) (n int, err error) {
	if len(b) <= maxRecord {
		return c.Conn.Write(b)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(b) > 0 && err == nil {
		var m int
		c.socket.hold()
		m, err = c.Conn.Write(b[:min(len(b), recordsPerWrite)])
		if sent := c.socket.release(); err == nil {
			err = sent
		}
		n, b = n+m, b[m:]
	}
	return n, err
}

// maxRecord is the largest plaintext of a record (RFC 8446 section 5.1).
const maxRecord = 16 << 10

// socket is below the TLS: it can hold what is written back, and write it in one piece.
type socket struct {
	net.Conn
	now waiter // nil unless reading must not wait; whoever reads sets it

	mu   sync.Mutex // guards all below
	held *[]byte    // nil: nothing is held back
}

var records = sync.Pool{New: func() any { b := make([]byte, 0, recordsPerWrite+4<<10); return &b }}

func (s *socket) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = records.Get().(*[]byte)
}

func (s *socket) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.held = nil
	_, err := s.Conn.Write(*held)
	*held = (*held)[:0]
	records.Put(held)
	return err
}

func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		*s.held = append(*s.held, b...)
		return len(b), nil
	}
	return s.Conn.Write(b)
}

// NetConn is the connection below.
func (s *socket) NetConn() net.Conn { return s.Conn }

// CloseWrite ends our direction, where the connection can.
func (s *socket) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return s.Close()
}
