package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// bufferSize: two TLS records.
	bufferSize = 32 << 10
	// smallBuffer is what a direction holds while it waits on a connection that cannot tell when it is readable (TLS).
	smallBuffer = 4 << 10
	// bulkAfter full buffers in a row, splicing begins: a pipe in the kernel costs two file descriptors.
	bulkAfter = 8
	// bulkTurn is how long a splice may wait for more before the direction gives its pipe back.
	bulkTurn = 100 * time.Millisecond
	// bulkBytes is what one splice moves at most.
	bulkBytes = 4 << 20
)

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// copy moves bytes from src to dst until src ends (nil) or something fails.
func (r *Relay) copy(dst, src net.Conn, count *atomic.Int64) error {
	if first := ahead(src); len(first) > 0 {
		if err := r.write(dst, first, count); err != nil {
			return err
		}
	}
	from, fromPlain := plain(src)
	to, toPlain := plain(dst)
	if !fromPlain {
		return r.copyOpaque(dst, src, count)
	}
	full := 0
	for {
		if full >= bulkAfter && toPlain {
			if err := r.splice(to, from, count); err != nil {
				return ended(err)
			}
			full = 0
			continue
		}
		n, err := r.step(dst, from, count)
		if err != nil {
			return ended(err)
		}
		if full++; n < bufferSize {
			full = 0
		}
	}
}

// step waits until from is readable, holding nothing, and moves one buffer.
func (r *Relay) step(dst net.Conn, from *net.TCPConn, count *atomic.Int64) (int, error) {
	if err := r.readable(from); err != nil {
		return 0, err
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	n, err := from.Read(*buffer)
	if n > 0 {
		if err := r.write(dst, (*buffer)[:n], count); err != nil {
			return n, err
		}
	}
	return n, err
}

// readable waits until a byte or the end is there, or the relay has been idle for too long.
func (r *Relay) readable(from *net.TCPConn) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return err
	}
	for {
		_ = from.SetReadDeadline(time.Now().Add(r.Idle / 2))
		var broken error // looking takes the socket's pending error away
		err := raw.Read(func(fd uintptr) bool {
			// Looking comes first: the poller tells only of what is new.
			var one [1]byte
			_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
				return false
			}
			broken = err
			return true
		})
		if err == nil && broken != nil {
			err = os.NewSyscallError("recvfrom", broken)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case r.expired():
			return ErrIdle
		}
	}
}

// splice moves bulk in the kernel, until from has nothing more for a while.
func (r *Relay) splice(to, from *net.TCPConn, count *atomic.Int64) error {
	for {
		_ = from.SetReadDeadline(time.Now().Add(bulkTurn))
		_ = to.SetWriteDeadline(time.Now().Add(r.Idle))
		n, err := to.ReadFrom(&io.LimitedReader{R: from, N: bulkBytes})
		if n > 0 {
			count.Add(n)
			r.touch()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !r.expired() {
			return nil // paused
		}
		if err != nil {
			return err
		}
		if n < bulkBytes {
			return io.EOF
		}
	}
}

// copyOpaque is for sources that cannot be waited on without a buffer: a small one, until much comes at once.
func (r *Relay) copyOpaque(dst, src net.Conn, count *atomic.Int64) error {
	small := make([]byte, smallBuffer)
	for {
		_ = src.SetReadDeadline(time.Now().Add(r.Idle / 2))
		n, err := src.Read(small)
		if n > 0 {
			if err := r.write(dst, small[:n], count); err != nil {
				return err
			}
		}
		if n == smallBuffer && err == nil {
			err = r.drain(dst, src, count)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if !r.expired() {
				continue
			}
			return ErrIdle
		}
		if err != nil {
			return ended(err)
		}
	}
}

// drain moves large pieces while they keep coming.
func (r *Relay) drain(dst, src net.Conn, count *atomic.Int64) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	for {
		_ = src.SetReadDeadline(time.Now().Add(bulkTurn))
		n, err := src.Read(*buffer)
		if n > 0 {
			if err := r.write(dst, (*buffer)[:n], count); err != nil {
				return err
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // paused: back to the small buffer
		}
		if err != nil {
			return err
		}
	}
}

func (r *Relay) write(dst net.Conn, b []byte, count *atomic.Int64) error {
	r.touch()
	_ = dst.SetWriteDeadline(time.Now().Add(r.Idle))
	n, err := dst.Write(b)
	count.Add(int64(n))
	return err
}

// ended makes the proper end of a stream no error.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
