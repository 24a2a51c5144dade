package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
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
	out := &sink{conn: dst}
	out.plain, _ = plain(dst)
	if first := ahead(src); len(first) > 0 {
		if err := r.write(out, first, count); err != nil {
			return err
		}
	}
	from, ok := plain(src)
	if !ok {
		return r.copyOpaque(out, src, count)
	}
	in, err := newSource(from)
	if err != nil {
		return err
	}
	full := 0
	for {
		if full >= bulkAfter && out.plain != nil {
			if err := r.splice(out, in, count); err != nil {
				return ended(err)
			}
			full = 0
			continue
		}
		n, err := r.step(out, in, count)
		if err != nil {
			return ended(err)
		}
		if full++; n < bufferSize {
			full = 0
		}
	}
}

// step waits until something can be read, holding nothing, and moves one buffer.
func (r *Relay) step(out *sink, in *source, count *atomic.Int64) (int, error) {
	buffer, n, err := r.read(in)
	if buffer == nil {
		return 0, err
	}
	defer buffers.Put(buffer)
	return n, r.write(out, (*buffer)[:n], count)
}

// read waits until bytes, the end or an error is there, or the relay has been idle for too long. The buffer, which is nil
// where there is nothing in it, is the caller's to put back.
func (r *Relay) read(in *source) (*[]byte, int, error) {
	for {
		if !in.armed {
			in.armed = true
			_ = in.conn.SetReadDeadline(time.Now().Add(r.Idle / 2))
		}
		err := in.raw.Read(in.try)
		switch {
		case err == nil && in.err != nil:
			return nil, 0, os.NewSyscallError("read", in.err)
		case err == nil && in.n == 0:
			return nil, 0, io.EOF
		case err == nil:
			return in.buffer, in.n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, 0, err
		case r.expired():
			return nil, 0, ErrIdle
		}
		in.armed = false
	}
}

// splice moves bulk in the kernel, until in has nothing more for a while.
func (r *Relay) splice(out *sink, in *source, count *atomic.Int64) error {
	in.armed = false
	for {
		out.armed = time.Now()
		_ = in.conn.SetReadDeadline(out.armed.Add(bulkTurn))
		_ = out.plain.SetWriteDeadline(out.armed.Add(r.Idle))
		n, err := out.plain.ReadFrom(&io.LimitedReader{R: in.conn, N: bulkBytes})
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
func (r *Relay) copyOpaque(out *sink, src net.Conn, count *atomic.Int64) error {
	small := make([]byte, smallBuffer)
	for {
		_ = src.SetReadDeadline(time.Now().Add(r.Idle / 2))
		n, err := src.Read(small)
		if n > 0 {
			if err := r.write(out, small[:n], count); err != nil {
				return err
			}
		}
		if n == smallBuffer && err == nil {
			err = r.drain(out, src, count)
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
func (r *Relay) drain(out *sink, src net.Conn, count *atomic.Int64) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	for {
		_ = src.SetReadDeadline(time.Now().Add(bulkTurn))
		n, err := src.Read(*buffer)
		if n > 0 {
			if err := r.write(out, (*buffer)[:n], count); err != nil {
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

// ended makes the proper end of a stream no error.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
