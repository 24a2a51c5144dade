package http2

import (
	"encoding/binary"
	"time"
)

// Next takes one frame from the front of in and puts what it means into Events. n is how much it took; 0 means that more octets are
// needed. After an error, an [*Error], the connection is over: what is in Out should still be written, and all streams are reset
// by Events.
func (c *Conn) Next(in []byte, now time.Time) (n int, err error) {
	c.Events = c.Events[:0]
	if !c.prefaced {
		k := min(len(in), len(preface))
		if string(in[:k]) != preface[:k] {
			return 0, c.fail(errPreface)
		}
		if k < len(preface) {
			return 0, nil
		}
		c.prefaced = true
		return k, nil
	}
	f, n, e := parseFrame(in)
	if e != nil {
		return 0, c.fail(e)
	}
	if n == 0 {
		return 0, nil
	}
	if e = c.frame(&f, now); e != nil {
		return n, c.fail(e)
	}
	if c.control > maxControlOut {
		return n, c.fail(errControlOut)
	}
	return n, nil
}

// frame handles one frame (RFC 9113 section 6).
func (c *Conn) frame(f *frame, now time.Time) *Error {
	switch {
	case !c.begun && (f.kind != frameSettings || f.has(flagAck)):
		return errFirst
	case c.headOf != 0 && (f.kind != frameContinuation || f.stream != c.headOf):
		return errContinuation
	}
	switch f.kind {
	case frameData:
		return c.data(f, now)
	case frameHeaders:
		return c.headers(f, now)
	case frameContinuation:
		return c.continuation(f, now)
	case frameReset:
		return c.resetByPeer(f, now)
	case frameWindow:
		return c.windowUpdate(f, now)
	default: // below, for frames that are control only
	}
	if !c.controls.take(now) {
		return floodOf(f.kind)
	}
	switch f.kind {
	case framePriority:
		return c.priority(f, now)
	case frameSettings:
		return c.settings(f)
	case framePing:
		return c.ping(f)
	case frameGoAway:
		return c.goAwayByPeer(f)
	case framePush:
		return errPush
	default:
		return nil // RFC 9113 section 5.5: unknown types are ignored
	}
}

func (c *Conn) data(f *frame, now time.Time) *Error {
	if f.stream == 0 {
		return errStreamZero
	}
	p, err := f.unpad()
	if err != nil {
		return err
	}
	size := int64(len(f.payload)) // flow control counts padding (RFC 9113 section 6.9.1)
	if c.recvWindow -= size; c.recvWindow < 0 {
		return errFlow
	}
	c.tell()
	end := f.has(flagEndStream)
	st := c.streams[f.stream]
	if st == nil || st.remoteEnd {
		c.credit(nil, size)
		return c.strayData(f.stream, st, len(p) == 0, now)
	}
	if len(p) > 0 {
		c.controls.give(controlPerContent)
	} else if !end && !c.controls.take(now) {
		return floodOf(frameData)
	}
	if st.recvWindow -= size; st.recvWindow < 0 {
		c.credit(nil, size)
		return c.streamError(st, FlowControlError, now)
	}
	c.credit(st, size-int64(len(p)))
	st.unconsumed += int64(len(p))
	if !c.server && !st.headed || !st.counts(int64(len(p)), end) {
		return c.streamError(st, ProtocolError, now)
	}
	ev := c.event(Data, st)
	ev.Data, ev.End = p, end
	if end {
		c.endRemote(st)
	}
	return nil
}

// strayData is DATA on a stream that takes none. What crossed a reset of ours is nobody's fault, as long as it has content.
func (c *Conn) strayData(id uint32, st *stream, empty bool, now time.Time) *Error {
	if st != nil {
		return c.streamError(st, StreamClosed, now)
	}
	if c.idle(id) {
		return errIdle
	}
	how := c.ended(id)
	crossed := how == byUs || how == 0
	if (empty || !crossed) && !c.controls.take(now) {
		return errClosedFlood
	}
	if !crossed {
		c.controlOut(appendReset, id, StreamClosed)
	}
	return nil
}

// counts checks a part of the body against Content-Length (RFC 9113 section 8.1.1).
func (st *stream) counts(n int64, end bool) bool {
	if st.left < 0 {
		return true
	}
	st.left -= n
	return st.left >= 0 && (!end || st.left == 0)
}

// idle tells whether a stream was never opened (RFC 9113 section 5.1.1).
func (c *Conn) idle(id uint32) bool {
	if id%2 == 1 == c.server { // the peer's
		return id > c.lastPeer
	}
	return c.server || id >= c.nextID
}

// endRemote notes that the peer is done with a stream.
func (c *Conn) endRemote(st *stream) {
	st.remoteEnd = true
	if st.localEnd {
		c.remove(st, byBoth)
	}
}

func (c *Conn) resetByPeer(f *frame, now time.Time) *Error {
	switch {
	case f.stream == 0:
		return errStreamZero
	case len(f.payload) != 4:
		return errBadSize
	case c.idle(f.stream):
		return errIdle
	}
	st := c.streams[f.stream]
	if st == nil {
		if !c.controls.take(now) {
			return floodOf(frameReset)
		}
		return nil
	}
	if c.server && st.unanswered && !c.resets.take(now) {
		return errRapidReset
	}
	code := Code(binary.BigEndian.Uint32(f.payload))
	if code > HTTP11Required {
		code = InternalError // RFC 9113 section 7: unknown codes mean nothing special
	}
	ev := c.event(Reset, st)
	ev.Code, ev.Unprocessed = code, !c.server && code == RefusedStream
	c.remove(st, byThePeer)
	return nil
}

func (c *Conn) windowUpdate(f *frame, now time.Time) *Error {
	if len(f.payload) != 4 {
		return errBadSize
	}
	if !c.controls.take(now) {
		return floodOf(frameWindow)
	}
	by := int64(binary.BigEndian.Uint32(f.payload) &^ (1 << 31))
	if f.stream == 0 {
		if by == 0 {
			return errWindowZero
		}
		if c.sendWindow += by; c.sendWindow > maxWindow {
			return errWindow
		}
		c.unblock()
		return nil
	}
	st := c.streams[f.stream]
	switch {
	case st == nil && c.idle(f.stream):
		return errIdle
	case st == nil:
		return nil
	case by == 0:
		return c.streamError(st, ProtocolError, now)
	}
	if st.sendWindow += by; st.sendWindow > maxWindow {
		return c.streamError(st, FlowControlError, now)
	}
	if st.sendWindow > 0 && st.blocked && !st.inQueue {
		c.event(Writable, st)
		st.blocked = false
	}
	return nil
}

// maxWindow is the largest window (RFC 9113 section 6.9.1).
const maxWindow = 1<<31 - 1

// priority is checked and forgotten: RFC 9113 section 5.3.2 deprecates it.
func (c *Conn) priority(f *frame, now time.Time) *Error {
	var wrong *Error
	switch {
	case f.stream == 0:
		return errStreamZero
	case len(f.payload) != 5:
		wrong = errBadSize
	case binary.BigEndian.Uint32(f.payload)&^(1<<31) == f.stream:
		wrong = errSelf
	default:
		return nil
	}
	switch st := c.streams[f.stream]; {
	case st != nil:
		return c.streamError(st, wrong.Code, now)
	case c.idle(f.stream):
		return wrong // a stream that is idle cannot be reset
	}
	return nil
}

func (c *Conn) ping(f *frame) *Error {
	switch {
	case f.stream != 0:
		return errNotStreamZero
	case len(f.payload) != 8:
		return errBadSize
	case f.has(flagAck):
		c.pingSent = false
		return nil
	}
	before := len(c.out)
	c.out = appendPing(c.out, flagAck, f.payload)
	c.control += len(c.out) - before
	return nil
}

// goAwayByPeer stops new requests; those that the peer will not look at are told so.
func (c *Conn) goAwayByPeer(f *frame) *Error {
	switch {
	case f.stream != 0:
		return errNotStreamZero
	case len(f.payload) < 8:
		return errBadSize
	}
	c.peerGone = true
	last := binary.BigEndian.Uint32(f.payload) &^ (1 << 31)
	for _, st := range c.ordered() {
		if st.id > last && !c.server {
			ev := c.event(Reset, st)
			ev.Code, ev.Unprocessed = RefusedStream, true
			c.remove(st, byUs)
		}
	}
	return nil
}

// streamError ends a stream whose peer broke the rules on it. A peer that does so all the time is sent away.
func (c *Conn) streamError(st *stream, code Code, now time.Time) *Error {
	ev := c.event(Reset, st)
	ev.Code = code
	c.controlOut(appendReset, st.id, code)
	c.remove(st, byUs)
	if c.server && !c.resets.take(now) {
		return errGoAwayReset
	}
	return nil
}

// controlOut appends a frame that the peer caused.
func (c *Conn) controlOut(frame func([]byte, uint32, Code) []byte, id uint32, code Code) {
	before := len(c.out)
	c.out = frame(c.out, id, code)
	c.control += len(c.out) - before
}

// fail ends the connection: GOAWAY, and a reset of each stream for its owner.
func (c *Conn) fail(e *Error) error {
	if c.failed != nil {
		return c.failed
	}
	c.failed = e
	last := c.lastPeer
	if c.goingAway {
		last = c.lastServed
	}
	c.out = appendGoAway(c.out, last, e.Code, e.Reason)
	c.abandon()
	return e
}

// Abandon returns resets of all streams for their owners: the connection is gone. The events are put into list.
func (c *Conn) Abandon(list []Event) []Event { return c.aside(list, c.abandon) }

func (c *Conn) abandon() {
	for _, st := range c.ordered() {
		ev := c.event(Reset, st)
		ev.Code = Lost
	}
	clear(c.streams)
	clear(c.held)
	c.peerGone = true
}
