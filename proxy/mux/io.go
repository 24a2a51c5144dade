package mux

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Buffer sizes. A connection that rests reads into a few octets of its own; one that carries small messages has a small buffer;
// one in full flow a large one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

type pools struct{ small, large sync.Pool }

var buffers = pools{
	small: sync.Pool{New: func() any { return new([smallBuffer]byte) }},
	large: sync.Pool{New: func() any { return new([largeBuffer]byte) }},
}

func (p *pools) take(size int) []byte {
	if size <= smallBuffer {
		return p.small.Get().(*[smallBuffer]byte)[:]
	}
	return p.large.Get().(*[largeBuffer]byte)[:]
}

func (p *pools) give(b []byte) {
	switch b = b[:cap(b)]; len(b) {
	case smallBuffer:
		p.small.Put((*[smallBuffer]byte)(b))
	case largeBuffer:
		p.large.Put((*[largeBuffer]byte)(b))
	}
}

// reader is what the reading goroutine has.
type reader struct {
	buf   []byte // nil while the connection rests
	r, w  int
	got   int // by the last read
	rest  [16]byte
	moved bool // since the read deadline was set, something that was waited for has become complete

	// Guarded by the connection's lock:
	deadline bool // a read deadline is set
	ready    bool // for the next frame of a stream, with a buffer
	look     bool // the deadline has passed only so that the reader looks whether it has to be ready
}

// read hands frames to the machine until the connection ends, and says why it did.
func (c *Conn) read() error {
	for {
		resting, err := c.expect()
		switch {
		case err != nil:
		case resting:
			err = c.waitResting()
		default:
			err = c.fill()
		}
		switch {
		case err == nil:
		case c.looks(err):
			continue
		default:
			return c.late(err)
		}
		if err := c.takeFrames(); err != nil {
			return err
		}
	}
}

// takeFrames takes all that are there as a whole.
func (c *Conn) takeFrames() error {
	in, now := &c.in, time.Now()
	for in.r < in.w {
		n, midway, err := c.next(in.buf[in.r:in.w], now)
		if err != nil || n == 0 {
			return err
		}
		in.r += n
		in.moved = in.moved || !midway
	}
	return nil
}

// late ends the connection of a peer that was too slow by words of its own; other errors stay what they are.
func (c *Conn) late(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.mu.Lock()
	if c.broken != nil {
		defer c.mu.Unlock()
		return c.broken
	}
	events, err := c.m.Overdue(nil)
	c.breaks(err)
	c.mu.Unlock()
	deliver(events)
	return err
}

// next takes one frame and delivers its events. midway: the frame belongs to something that is not complete yet.
func (c *Conn) next(b []byte, now time.Time) (n int, midway bool, err error) {
	c.mu.Lock()
	begun := c.m.Begun()
	if n, err = c.m.Next(b, now); err != nil {
		c.breaks(err)
	}
	midway = c.m.Midway()
	events := c.m.Events
	begins := !begun && c.m.Begun()
	c.heard = true
	c.signal()
	c.mu.Unlock()
	if begins {
		close(c.begun)
	}
	for i := range events {
		if ev := &events[i]; ev.Kind == http2.Opened {
			c.opts.Accept(c, ev)
		} else {
			ev.Deliver()
		}
	}
	return n, midway, err
}

// expect sets the time by which more must come. resting tells that none need; an error, that none is of use.
func (c *Conn) expect() (resting bool, err error) {
	in := &c.in
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	due := c.m.Due(in.buf[in.r:in.w])
	switch {
	case c.broken != nil:
		return false, c.broken
	case c.m.Ended():
		return false, ErrDone
	}
	if in.look {
		in.look, in.deadline, in.moved = false, true, true // the deadline goes, or another takes its place
	}
	c.hurry(due) // under the lock: the last deadline is the writer's
	resting = in.w == 0 && c.m.Streams() == 0 && due == 0
	in.ready = !resting
	return resting, nil
}

// fill reads more, into a buffer that fits what is to be expected.
func (c *Conn) fill() error {
	in := &c.in
	in.room()
	n, err := c.conn.Read(in.buf[in.w:])
	in.w, in.got = in.w+n, n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// hurry sets the time by which what has begun must be complete. It runs until then, however many reads that takes.
func (c *Conn) hurry(due time.Duration) {
	in := &c.in
	switch {
	case due == 0 && in.deadline:
		_ = c.conn.SetReadDeadline(time.Time{})
	case due > 0 && (!in.deadline || in.moved):
		_ = c.conn.SetReadDeadline(time.Now().Add(due))
	}
	in.deadline, in.moved = due > 0, false
}

// enough is as much as one record of TLS holds (RFC 8446 section 5.1): with that much space, no read would get more.
const enough = 16 << 10

// room makes space for the next read. A frame, or a read, that fills the small buffer gets a large one, until reads are small again.
func (in *reader) room() {
	switch {
	case in.buf == nil:
		in.swap(smallBuffer)
	case in.w == len(in.buf) && len(in.buf) == smallBuffer:
		in.swap(largeBuffer)
	case in.w == 0 && in.got < smallBuffer/2 && len(in.buf) == largeBuffer:
		in.swap(smallBuffer)
	case in.r > 0 && len(in.buf)-in.w < enough:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}

// swap moves what is there into a buffer of that size.
func (in *reader) swap(size int) {
	next := buffers.take(size)
	n := copy(next, in.buf[in.r:in.w])
	if in.buf != nil {
		buffers.give(in.buf)
	}
	in.buf, in.r, in.w = next, 0, n
}

// write writes until the connection ends.
func (c *Conn) write() {
	w := writer{c: c}
	for range c.wake {
		if !w.flush() {
			return
		}
	}
}

// writer is what the writing goroutine has.
type writer struct {
	c      *Conn
	events []http2.Event
	by     time.Time // write deadline in force
}

// flush writes until there is nothing; false when the connection is over.
func (w *writer) flush() bool {
	c := w.c
	var written []byte
	for {
		c.mu.Lock()
		if written != nil {
			c.spare = written
		}
		if len(c.m.Out()) == 0 {
			c.awake = false
			over := c.ending
			if !over && c.m.Ended() {
				over = true
				c.breaks(ErrDone)
				_ = c.conn.SetReadDeadline(time.Now().Add(linger)) // the reader ends then, if its peer does not
				if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
					_ = half.CloseWrite()
				}
			}
			c.mu.Unlock()
			return !over
		}
		out := c.m.TakeOut(c.spare)
		c.spare = nil
		w.events = c.m.Unblock(w.events)
		if now := time.Now(); !c.ending && w.by.Sub(now) < writeStall/2 {
			w.by = now.Add(writeStall)
			_ = c.conn.SetWriteDeadline(w.by)
		}
		c.mu.Unlock()
		deliver(w.events)
		if _, err := c.conn.Write(out); err != nil {
			c.fail(err)
			return false
		}
		written = out
	}
}
