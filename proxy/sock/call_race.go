//go:build linux && race

package sock

import (
	"errors"
	"syscall"
)

// The race detector learns from package syscall that what was sent happened before what was received, and which memory
// was touched. Programs that speak to each other in one process rely on it.

func receive(fd uintptr, b []byte) (int, syscall.Errno) { return result(syscall.Read(int(fd), b)) }

func send(fd uintptr, b []byte) (int, syscall.Errno) { return result(syscall.Write(int(fd), b)) }

func result(n int, err error) (int, syscall.Errno) {
	var errno syscall.Errno
	errors.As(err, &errno)
	return n, errno
}
