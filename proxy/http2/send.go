package http2

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/leno-mesh/leno/proxy/msg"
)

// Open sends a request head (client) and returns its stream; 0 when none can be opened now. end: no body follows.
func (c *Conn) Open(owner Owner, token uint32, req *msg.Request, end bool) uint32 {
	if !c.Usable() || req.Upgrade != nil && !c.connectOK {
		return 0
	}
	id := c.nextID
	c.nextID += 2
	st := c.add(id)
	st.owner, st.token, st.localEnd = owner, token, end
	st.noBody = string(req.Method) == "HEAD"
	at := c.beginHead()
	c.appendRequest(req)
	c.endHead(at, id, end)
	return id
}

func (c *Conn) appendRequest(req *msg.Request) {
	out := c.enc.begin(c.out)
	method := req.Method
	if req.Upgrade != nil {
		method = connect
	}
	switch string(method) {
	case "GET":
		out = append(out, 0x80|staticGet)
	case "POST":
		out = append(out, 0x80|staticPost)
	default:
		out = c.enc.pseudo(out, staticMethod, method)
	}
	out = append(out, 0x80|c.scheme)
	if len(req.Authority) > 0 { // a request of HTTP/1.0 may have none (RFC 9113 section 8.3.1)
		out = c.enc.pseudo(out, staticAuthority, req.Authority)
	}
	path := req.Path
	if req.HasQuery {
		c.scratch = append(append(append(c.scratch[:0], path...), '?'), req.Query...)
		path = c.scratch
	}
	if len(path) == 1 && path[0] == '/' {
		out = append(out, 0x80|staticPath)
	} else {
		out = c.enc.pseudo(out, staticPath, path)
	}
	if req.Upgrade != nil {
		out = c.enc.indexable(out, 0, nameProtocol, req.Upgrade)
	}
	out = c.appendFields(out, req.Fields)
	if req.Body.Kind == msg.Sized {
		out = c.appendLength(out, req.Body.Length)
	}
	if req.Trailers {
		out = c.enc.indexable(out, 0, nameTE, trailersValue)
	}
	if req.Continue {
		out = c.enc.indexable(out, 0, nameExpect, continueValue)
	}
	c.out = out
}

func (c *Conn) appendFields(out []byte, fields msg.Fields) []byte {
	for i := range fields {
		out = c.enc.field(out, &fields[i])
	}
	return out
}

func (c *Conn) appendLength(out []byte, n int64) []byte {
	var digits [20]byte
	return c.enc.indexable(out, staticLength, nameLength, strconv.AppendInt(digits[:0], n, 10))
}

// Respond sends a response head (server), interim or final; false when the stream is over. end: nothing follows.
func (c *Conn) Respond(id uint32, resp *msg.Response, end bool) bool {
	st := c.streams[id]
	if st == nil || st.localEnd {
		return false
	}
	at := c.beginHead()
	out := c.enc.begin(c.out)
	if i := staticStatusOf(resp.Status); i > 0 {
		out = append(out, 0x80|byte(i))
	} else {
		var digits [3]byte
		out = c.enc.pseudo(out, staticStatus, strconv.AppendInt(digits[:0], int64(resp.Status), 10))
	}
	out = c.appendFields(out, resp.Fields)
	switch {
	case resp.Status < 200:
	case resp.Body.Kind == msg.Sized:
		out = c.appendLength(out, resp.Body.Length)
	case resp.Announced >= 0:
		out = c.appendLength(out, resp.Announced)
	}
	c.out = out
	if resp.Status >= 200 {
		st.unanswered = false
		c.controls.give(controlPerContent)
	}
	c.endHead(at, id, end)
	c.endLocal(st, end)
	return true
}

// SendTrailers ends a stream with fields; false when it is over already.
func (c *Conn) SendTrailers(id uint32, fields msg.Fields) bool {
	st := c.streams[id]
	if st == nil || st.localEnd {
		return false
	}
	at := c.beginHead()
	c.out = c.appendFields(c.enc.begin(c.out), fields)
	c.endHead(at, id, true)
	c.endLocal(st, true)
	return true
}

func (c *Conn) beginHead() (at int) {
	at = len(c.out)
	c.out = appendFrameHead(c.out, 0, frameHeaders, 0, 0)
	return at
}

// endHead fills in the frame's head, and breaks a section that is too long for one frame into several (RFC 9113 section 6.10).
func (c *Conn) endHead(at int, id uint32, end bool) {
	flags := uint8(0)
	if end {
		flags = flagEndStream
	}
	block := c.out[at+frameHead:]
	if len(block) <= MaxFrame {
		putFrameHead(c.out[at:], len(block), frameHeaders, flags|flagEndHeaders, id)
		return
	}
	putFrameHead(c.out[at:], MaxFrame, frameHeaders, flags, id)
	rest := append([]byte(nil), block[MaxFrame:]...) // rare
	c.out = c.out[:at+frameHead+MaxFrame]
	for len(rest) > 0 {
		n, flags := min(len(rest), MaxFrame), uint8(0)
		if n == len(rest) {
			flags = flagEndHeaders
		}
		c.out = append(appendFrameHead(c.out, n, frameContinuation, flags, id), rest[:n]...)
		rest = rest[n:]
	}
}

func putFrameHead(b []byte, size int, kind FrameType, flags uint8, stream uint32) {
	b[0], b[1], b[2], b[3], b[4] = byte(size>>16), byte(size>>8), byte(size), byte(kind), flags
	binary.BigEndian.PutUint32(b[5:], stream)
}

func (c *Conn) endLocal(st *stream, end bool) {
	if !end {
		return
	}
	st.localEnd = true
	if st.remoteEnd {
		c.remove(st, byBoth)
	}
}

// Send sends a part of a body and returns how much of it the windows and the socket take now. Where that is less than all, Writable
// follows. end is told with the last octet. A stream that is over takes everything and drops it.
func (c *Conn) Send(id uint32, p []byte, end bool) (n int) {
	st := c.streams[id]
	if st == nil || st.localEnd {
		return len(p)
	}
	for {
		size := min(len(p)-n, MaxFrame, int(st.sendWindow), int(c.sendWindow))
		if len(c.out) >= HighWater {
			size = 0
		}
		last := n+max(size, 0) == len(p)
		if size <= 0 && (!last || !end || len(p) != n) {
			if !last {
				c.block(st)
			}
			return n
		}
		size = max(size, 0)
		flags := uint8(0)
		if last && end {
			flags = flagEndStream
		}
		c.out = append(appendFrameHead(c.out, size, frameData, flags, id), p[n:n+size]...)
		n += size
		st.stalls = 0
		st.sendWindow -= int64(size)
		c.sendWindow -= int64(size)
		c.controls.give(controlPerContent)
		if last {
			c.endLocal(st, end)
			return n
		}
	}
}

// block notes that a stream has more to send. One that waits for its own window is woken by that alone.
func (c *Conn) block(st *stream) {
	st.blocked = true
	if st.sendWindow > 0 && !st.inQueue {
		if len(c.blocked) > 2*len(c.streams) { // most of them are over
			c.blocked = slices.DeleteFunc(c.blocked, func(id uint32) bool { return c.streams[id] == nil })
		}
		st.inQueue = true
		c.blocked = append(c.blocked, st.id)
	}
}

// Unblock returns Writable for the streams that waited for the socket; call it when Out was taken. The events are put into list.
func (c *Conn) Unblock(list []Event) []Event { return c.aside(list, c.unblock) }

// aside collects events in list rather than in Events, which belong to the caller of Next.
func (c *Conn) aside(list []Event, do func()) []Event {
	events := c.Events
	c.Events = list[:0]
	do()
	list, c.Events = c.Events, events
	return list
}

// Stalled resets the streams that could send nothing for limit calls in a row, because their peer keeps its window closed.
func (c *Conn) Stalled(limit int, list []Event) []Event {
	return c.aside(list, func() {
		for _, st := range c.ordered() {
			if !st.blocked {
				st.stalls = 0
				continue
			}
			if st.stalls++; st.stalls < limit {
				continue
			}
			ev := c.event(Reset, st)
			ev.Code = Cancel
			c.out = appendReset(c.out, st.id, Cancel)
			c.remove(st, byUs)
		}
	})
}

// unblock wakes the streams that wait for the connection, in the order in which they began to wait.
func (c *Conn) unblock() {
	if c.sendWindow <= 0 || len(c.out) >= HighWater || len(c.blocked) == 0 {
		return
	}
	for _, id := range c.blocked {
		st := c.streams[id]
		if st == nil || !st.inQueue {
			continue
		}
		st.inQueue = false
		if st.blocked && st.sendWindow > 0 {
			st.blocked = false
			c.event(Writable, st)
		}
	}
	c.blocked = c.blocked[:0]
}

// Consume gives back the window for n octets of a stream's Data.
func (c *Conn) Consume(id uint32, n int) {
	st := c.streams[id]
	switch {
	case st != nil:
		st.unconsumed -= int64(n)
		c.credit(st, int64(n))
	case len(c.held) > 0:
		c.release(id, int64(n))
	}
}

// release gives back window of a stream that has ended, at most what is held for it.
func (c *Conn) release(id uint32, n int64) {
	held, ok := c.held[id]
	if !ok {
		return
	}
	if n < held {
		c.held[id] = held - n
	} else {
		n = held
		delete(c.held, id)
	}
	c.credit(nil, n)
}

// tell gives the connection's window back to the peer: when half of it is used up, so that small messages cost no frame each, or
// earlier where the peer has less left than that, because streams that nobody consumes hold the rest.
func (c *Conn) tell() {
	if c.recvCredit == 0 || c.recvCredit < ConnWindow/2 && c.recvCredit < c.recvWindow {
		return
	}
	c.out = appendWindow(c.out, 0, int(c.recvCredit))
	c.recvWindow += c.recvCredit
	c.recvCredit = 0
}

// credit gives window back to a stream, nil for none, and to the connection.
func (c *Conn) credit(st *stream, n int64) {
	if n == 0 {
		return
	}
	c.recvCredit += n
	c.tell()
	if st == nil || st.remoteEnd {
		return
	}
	if st.recvCredit += n; st.recvCredit >= StreamWindow/2 {
		c.out = appendWindow(c.out, st.id, int(st.recvCredit))
		st.recvWindow += st.recvCredit
		st.recvCredit = 0
	}
}

// Reset ends a stream from our side, or gives up what is held of one that has ended.
func (c *Conn) Reset(id uint32, code Code) {
	st := c.streams[id]
	if st == nil {
		if len(c.held) > 0 {
			c.release(id, maxWindow)
		}
		return
	}
	if code == Lost {
		code = InternalError
	}
	c.out = appendReset(c.out, id, code)
	c.remove(st, byUs)
}

// Shutdown asks the peer to open no more streams (RFC 9113 section 6.8). final says that those which come from now on are not
// processed; without it they still are, because they may be under way.
func (c *Conn) Shutdown(final bool) {
	if c.goingAway || c.failed != nil {
		return
	}
	last := uint32(1<<31 - 1)
	if final {
		last, c.goingAway, c.lastServed = c.lastPeer, true, c.lastPeer
	}
	c.out = appendGoAway(c.out, last, NoError, "")
}

// Ping asks whether the peer is alive; false when it has not answered the last one.
func (c *Conn) Ping() bool {
	if c.pingSent {
		return false
	}
	c.pingSent = true
	c.out = appendPing(c.out, 0, pingData)
	return true
}

var pingData = []byte("leno ...")
