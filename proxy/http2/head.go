package http2

import (
	"encoding/binary"
	"time"

	"github.com/leno-mesh/leno/proxy/msg"
)

// headers begins a field section; most are whole in one frame and decoded where they stand.
func (c *Conn) headers(f *frame, now time.Time) *Error {
	if f.stream == 0 {
		return errStreamZero
	}
	p, err := f.unpad()
	if err != nil {
		return err
	}
	self := false
	if f.has(flagPriority) {
		if len(p) < 5 {
			return errBadSize
		}
		self = binary.BigEndian.Uint32(p)&^(1<<31) == f.stream
		p = p[5:]
	}
	if f.has(flagEndHeaders) {
		return c.section(f, p, self, now)
	}
	c.headOf, c.headAt, c.pieces = f.stream, *f, 1
	c.headAt.payload = nil
	c.head = append(c.head[:0], p...)
	if self {
		c.headAt.flags |= flagPadded // not needed any more: remembers a dependency on itself
	} else {
		c.headAt.flags &^= flagPadded
	}
	return nil
}

func (c *Conn) continuation(f *frame, now time.Time) *Error {
	if c.headOf == 0 {
		return errContinuation
	}
	if c.pieces++; c.pieces > maxFragments || len(c.head)+len(f.payload) > maxBlock {
		return errFragments
	}
	c.head = append(c.head, f.payload...)
	if !f.has(flagEndHeaders) {
		return nil
	}
	c.headOf = 0
	first := c.headAt
	e := c.section(&first, c.head, first.has(flagPadded), now)
	if cap(c.head) > MaxFrame {
		c.head = nil
	}
	return e
}

// section takes a whole field section. It must be decoded whatever becomes of it: the table depends on it.
func (c *Conn) section(f *frame, block []byte, self bool, now time.Time) *Error {
	c.sect.reset()
	if c.dec.decode(block, &c.sect) != nil {
		return errCompression
	}
	end := f.has(flagEndStream)
	st := c.streams[f.stream]
	if st == nil {
		return c.open(f.stream, end, self, now)
	}
	c.controls.give(1)
	switch {
	case self:
		return c.streamError(st, ProtocolError, now)
	case st.remoteEnd:
		return c.streamError(st, StreamClosed, now)
	case c.server || st.headed:
		return c.trailing(st, end, now)
	default:
		return c.answer(st, end, now)
	}
}

// open takes a request (server).
func (c *Conn) open(id uint32, end, self bool, now time.Time) *Error {
	switch {
	case id%2 == 0 || !c.server && id >= c.nextID:
		return errStreamID
	case !c.server || id <= c.lastPeer:
		return c.late(id, now)
	}
	c.lastPeer = id
	if c.goingAway { // the peer knows, or will, that it is not processed
		c.remember(id, byUs)
		return c.late(id, now)
	}
	if len(c.streams) >= MaxStreams {
		return c.refuse(id, RefusedStream, now)
	}
	if self {
		return c.refuse(id, ProtocolError, now)
	}
	c.req.Reset()
	length, v := unknownLength, verdict{}
	if c.sect.over {
		v = verdict{status: 431, reason: "header section is larger than 128 KiB or 200 fields"}
	} else {
		length, v = c.sect.request(&c.req)
	}
	if v.malformed || end && length > 0 {
		return c.refuse(id, ProtocolError, now)
	}
	c.controls.give(1)
	st := c.add(id)
	st.left, st.remoteEnd, st.unanswered, st.headed = length, end, true, true
	c.req.Body = body(length, end)
	ev := c.event(Opened, st)
	ev.Request, ev.End, ev.Status, ev.Reason = &c.req, end, v.status, v.reason
	return nil
}

// late is a field section on a stream that is not open any more. Where the stream is not remembered, it is taken to be one that we
// reset: ending the connection for a frame that crossed a reset would be the greater harm.
func (c *Conn) late(id uint32, now time.Time) *Error {
	switch how := c.ended(id); {
	case how == byBoth || how == byThePeer:
		return errClosed
	case how == 0 && c.closedN <= closedRing:
		return errStreamID // never opened
	case !c.controls.take(now):
		return errClosedFlood
	}
	return nil
}

// body is how a body that follows is delimited.
func body(length int64, end bool) msg.Body {
	switch {
	case length >= 0:
		return msg.Body{Kind: msg.Sized, Length: length}
	case end:
		return msg.Body{}
	default:
		return msg.Body{Kind: msg.Chunked}
	}
}

// refuse ends a request that was not given to anybody.
func (c *Conn) refuse(id uint32, code Code, now time.Time) *Error {
	c.controlOut(appendReset, id, code)
	c.remember(id, byUs)
	if !c.resets.take(now) {
		return errGoAwayReset
	}
	return nil
}

// trailing takes trailers.
func (c *Conn) trailing(st *stream, end bool, now time.Time) *Error {
	if !end || c.sect.over || !st.counts(0, true) {
		return c.streamError(st, ProtocolError, now)
	}
	fields, v := c.sect.trailers()
	if v.malformed {
		return c.streamError(st, ProtocolError, now)
	}
	ev := c.event(Trailers, st)
	ev.Fields = fields
	c.endRemote(st)
	return nil
}

// answer takes a response head (client).
func (c *Conn) answer(st *stream, end bool, now time.Time) *Error {
	c.resp.Reset()
	if c.sect.over {
		return c.streamError(st, EnhanceYourCalm, now)
	}
	length, v := c.sect.response(&c.resp)
	if v.malformed {
		return c.streamError(st, ProtocolError, now)
	}
	status := c.resp.Status
	if status < 200 {
		if end || length >= 0 {
			return c.streamError(st, ProtocolError, now)
		}
	} else {
		st.headed = true
		bodiless := st.noBody || status == 204 || status == 304
		st.left = length
		if bodiless {
			st.left, c.resp.Announced, length = 0, length, unknownLength
		} else if end && length > 0 {
			return c.streamError(st, ProtocolError, now)
		}
		c.resp.Body = body(length, end)
	}
	ev := c.event(Head, st)
	ev.Response, ev.End = &c.resp, end
	if end {
		c.endRemote(st)
	}
	return nil
}
