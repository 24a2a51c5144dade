package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/sock"
)

const (
	// bufferSize: two TLS records.
	bufferSize = 32 << 10
	// smallBuffer is what a direction begins to wait with on a connection that cannot tell when it is readable (TLS).
	smallBuffer = 4 << 10
	// hold is how long a direction that waits keeps its buffer.
	hold = 4 * time.Second
	// bulkAfter full buffers in a row, splicing begins: a pipe in the kernel costs two file descriptors.
	bulkAfter = 8
	// bulkTurn is how long a splice may wait for more before the direction gives its pipe back.
	bulkTurn = 100 * time.Millisecond
	// bulkBytes is what one splice moves at most.
	bulkBytes = 4 << 20
)

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// prepare makes what bytes move between; in is nil where src is no plain socket. What was read ahead moves at once.
func (r *Relay) prepare(dst, src net.Conn, count *atomic.Int64) (out *sink, in *source, err error) {
	out = &sink{conn: dst}
	out.plain, _ = plain(dst)
	if first := ahead(src); len(first) > 0 {
		if err := r.write(out, first, count); err != nil {
			return nil, nil, err
		}
	}
	if from, ok := plain(src); ok {
		in, err = newSource(from)
	}
	return out, in, err
}

// copyPlain moves bytes from a plain socket until it ends (io.EOF) or something fails. It holds no buffer while it waits.
func (r *Relay) copyPlain(out *sink, in *source, count *atomic.Int64) error {
	for full := 0; ; {
		err := r.read(in)
		if err != nil {
			return err
		}
		n := in.n
		err = r.write(out, (*in.buffer)[:n], count)
		in.release()
		if full++; n < bufferSize {
			full = 0
		}
		if err == nil && full >= bulkAfter && out.plain != nil {
			err = r.splice(out, in, count)
			full = 0
		}
		if err != nil {
			return err
		}
	}
}

// read waits until in has bytes in a buffer, the end or an error is there, or the relay has been idle for too long.
func (r *Relay) read(in *source) error {
	for {
		if !in.armed {
			in.armed = true
			_ = in.conn.SetReadDeadline(time.Now().Add(r.Idle / 2))
		}
		err := in.raw.Read(in.try)
		switch {
		case err == nil && in.err != nil:
			return os.NewSyscallError("read", in.err)
		case err == nil && in.n == 0:
			return io.EOF
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case r.expired():
			return ErrIdle
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

// copyOpaque is for sources that cannot be waited on without a buffer: a small one, until much comes at once, and none when nothing
// has come for a while.
func (r *Relay) copyOpaque(out *sink, src net.Conn, count *atomic.Int64) error {
	patience := r.Idle / 2
	rests, ok := sock.Below(src).(interface{ Await() error })
	if ok {
		patience = min(patience, hold)
	}
	var small []byte
	for {
		if small == nil {
			small = make([]byte, smallBuffer)
		}
		_ = src.SetReadDeadline(time.Now().Add(patience))
		n, err := src.Read(small)
		if n > 0 {
			if err := r.write(out, small[:n], count); err != nil {
				return err
			}
		}
		if n == smallBuffer && err == nil {
			err = r.drain(out, src, count)
		}
		if ok && errors.Is(err, os.ErrDeadlineExceeded) {
			small = nil
			_ = src.SetReadDeadline(time.Now().Add(r.Idle / 2))
			err = rests.Await()
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.expired() {
				return ErrIdle
			}
		case err != nil:
			return err
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
