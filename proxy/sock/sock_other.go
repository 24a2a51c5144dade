//go:build !linux

package sock

import (
	"errors"
	"net"
	"syscall"
)

// Wrap returns conn as it is: only Linux has a cheaper way.
func Wrap(conn net.Conn) net.Conn { return conn }

// Receive reads once from the descriptor of a socket that does not block, for callers that wait in a callback of syscall.RawConn.
func Receive(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, err := syscall.Read(int(fd), b)
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno != syscall.EINTR {
			return n, errno
		}
	}
}

// Splice is there on Linux only.
type Splice struct{}

// NewSplice returns nil: bytes have to be copied.
func NewSplice(dst, src net.Conn) *Splice { return nil }

// Fill is never called.
func (s *Splice) Fill(int64) (int, error) { return 0, errors.ErrUnsupported }

// Flush is never called.
func (s *Splice) Flush() error { return errors.ErrUnsupported }

// Release is never called.
func (s *Splice) Release() {}
