package forward

import (
	"io"
	"sync"

	"github.com/leno-mesh/leno/proxy/http1"
)

// Buffer sizes: a usual head and a small body; a body in full flow; the largest head allowed.
const (
	smallBuffer = 8 << 10
	largeBuffer = 128 << 10
	hugeBuffer  = http1.MaxHead + smallBuffer
	// headroom is left free when reading, so that what was read fits into an equal buffer together with what layers and
	// framing add to it.
	headroom = 1 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
	hugeBuffers  = sync.Pool{New: func() any { return new([hugeBuffer]byte) }}
)

// takeBuffer returns a pooled buffer of at least size bytes; size is one of the constants above or less.
func takeBuffer(size int) []byte {
	switch {
	case size <= smallBuffer:
		return smallBuffers.Get().(*[smallBuffer]byte)[:]
	case size <= largeBuffer:
		return largeBuffers.Get().(*[largeBuffer]byte)[:]
	}
	return hugeBuffers.Get().(*[hugeBuffer]byte)[:]
}

// giveBuffer takes back what takeBuffer returned; other slices are left to the garbage collector.
func giveBuffer(b []byte) {
	switch b = b[:cap(b)]; len(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b))
	case hugeBuffer:
		hugeBuffers.Put((*[hugeBuffer]byte)(b))
	}
}

// reader is a read buffer: buf[r:w] is what was read and not consumed.
type reader struct {
	buf  []byte
	r, w int
}

func (b *reader) data() []byte { return b.buf[b.r:b.w] }
func (b *reader) empty() bool  { return b.r == b.w }

// consume drops n bytes from the front.
func (b *reader) consume(n int) { b.r += n }

// rewind makes an empty buffer start at its beginning.
func (b *reader) rewind() {
	if b.r == b.w {
		b.r, b.w = 0, 0
	}
}

// room makes space to read into, by moving what is there to the front or into a larger buffer. It must not be called
// while views into the buffer are in use. It returns false when the largest buffer is full.
func (b *reader) room() bool {
	switch {
	case b.w < len(b.buf):
		return true
	case b.r > 0:
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
		return true
	case cap(b.buf) >= hugeBuffer:
		return false
	}
	b.swap(cap(b.buf) + 1)
	return true
}

// swap moves what is there into a pooled buffer of that size class.
func (b *reader) swap(size int) {
	next := takeBuffer(size)
	next = next[:len(next)-headroom]
	n := copy(next, b.buf[b.r:b.w])
	if b.buf != nil {
		giveBuffer(b.buf)
	}
	b.buf, b.r, b.w = next, 0, n
}

// small tells that the buffer need not be given back while a connection rests.
func (b *reader) small() bool { return cap(b.buf) <= smallBuffer }

// fill reads once.
func (b *reader) fill(from io.Reader) error {
	n, err := from.Read(b.buf[b.w:])
	b.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// prepend puts p in front of what is there, in the place of what was consumed or in a larger buffer. It returns false
// when the largest is too small.
func (b *reader) prepend(p []byte) bool {
	if len(p) > b.r {
		size := len(p) + len(b.data()) + headroom
		if size > hugeBuffer {
			return false
		}
		next := takeBuffer(size)
		next = next[:len(next)-headroom]
		b.w = len(p) + copy(next[len(p):], b.data())
		giveBuffer(b.buf)
		b.buf, b.r = next, len(p)
	}
	b.r -= len(p)
	copy(b.buf[b.r:], p)
	return true
}

// restore puts bytes that were read too far back, behind nothing.
func (b *reader) restore(p []byte) {
	b.r, b.w = 0, 0
	if len(p) > len(b.buf) {
		b.swap(len(p) + headroom)
	}
	b.w = copy(b.buf, p)
}
