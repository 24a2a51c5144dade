package http2

import (
	"cmp"
	"slices"
	"time"

	"github.com/leno-mesh/leno/proxy/msg"
)

// Owner is who a stream's events go to. Token is what the owner gave when it took the stream, so that it can tell an event of an
// exchange that is over. Views are valid until the owner returns.
type Owner interface {
	// Response is a response head; interim ones (1xx) come before the final one. end: nothing follows.
	Response(token uint32, r *msg.Response, end bool)
	// Data is a part of the body. The owner gives its window back with Consume when the octets are on their way.
	Data(token uint32, p []byte, end bool)
	// Trailers end the body.
	Trailers(token uint32, fields msg.Fields)
	// Reset tells that the stream is over before both sides ended it. unprocessed: the peer has not looked at the request
	// (RFC 9113 section 8.7).
	Reset(token uint32, code Code, unprocessed bool)
	// Writable tells that more can be sent on a stream where Send took less than all.
	Writable(token uint32)
}

// Kind is the kind of an event.
type Kind uint8

// The kinds of events.
const (
	None Kind = iota
	// Opened is a new request. Its stream has no owner yet: Own gives it one. With a Status the request must be answered by
	// that.
	Opened
	Head
	Data
	Trailers
	Reset
	Writable
)

// Event is what happened on a stream.
type Event struct {
	Kind        Kind
	Stream      uint32
	Owner       Owner
	Token       uint32
	Request     *msg.Request
	Response    *msg.Response
	Fields      msg.Fields
	Data        []byte
	End         bool
	Code        Code
	Unprocessed bool
	Status      int
	Reason      string
}

// Deliver hands the event to its owner.
func (e *Event) Deliver() {
	switch {
	case e.Owner == nil:
	case e.Kind == Head:
		e.Owner.Response(e.Token, e.Response, e.End)
	case e.Kind == Data:
		e.Owner.Data(e.Token, e.Data, e.End)
	case e.Kind == Trailers:
		e.Owner.Trailers(e.Token, e.Fields)
	case e.Kind == Reset:
		e.Owner.Reset(e.Token, e.Code, e.Unprocessed)
	case e.Kind == Writable:
		e.Owner.Writable(e.Token)
	}
}

// Conn is one end of a connection. It is not safe for concurrent use, except that views in Events stay valid until the next
// Next, whatever else is called.
type Conn struct {
	// Events of the last Next or Unblock.
	Events []Event

	server bool
	out    []byte
	// control is how many octets of out the peer caused without content.
	control int

	streams map[uint32]*stream
	free    []*stream
	closed  [closedRing]closed
	closedN int
	blocked []uint32 // wait for the connection's window or for the socket, in order

	lastPeer   uint32 // largest stream identifier of the peer
	nextID     uint32 // our next one (client)
	sendWindow int64
	recvWindow int64
	recvCredit int64 // consumed, not told yet
	// held are octets of streams that have ended (client): their owners have them, and have not consumed them yet.
	held  map[uint32]int64
	order []*stream // room for ordered

	begun      bool // preface and first SETTINGS were read
	prefaced   bool
	peerWindow int64 // initial window of streams, as the peer set it
	peerMax    uint32
	connectOK  bool // RFC 8441
	scheme     byte // of what is asked for, as its index in the static table
	awaitAck   int  // SETTINGS of ours without an answer

	dec    decoder
	enc    encoder
	sect   section
	req    msg.Request
	resp   msg.Response
	head   []byte // fragments of a field section that goes on
	headOf uint32 // its stream; 0: none
	headAt frame  // its first frame, without payload
	pieces int

	resets   budget
	controls budget

	goingAway  bool   // we sent GOAWAY with a final identifier
	lastServed uint32 // it
	peerGone   bool   // the peer sent GOAWAY
	failed     *Error
	pingSent   bool
	scratch    []byte
}

// stream is the state of one stream (RFC 9113 section 5.1); idle and closed ones have none.
type stream struct {
	id    uint32
	owner Owner
	token uint32

	sendWindow int64
	recvWindow int64
	recvCredit int64 // consumed, not told yet
	unconsumed int64 // given to the owner, not consumed yet

	left       int64 // octets that Content-Length still promises; -1: no promise
	noBody     bool  // the request was HEAD
	headed     bool  // the final head is here
	remoteEnd  bool
	localEnd   bool
	blocked    bool // Send took less than all
	inQueue    bool // in Conn.blocked
	unanswered bool // no final response was sent (server)
	stalls     int  // looks in a row at which it was blocked
}

// closedRing is how many streams are remembered after their end, to tell frames that crossed a reset from violations.
const closedRing = 64

type closed struct {
	id  uint32
	how closing
}

type closing uint8

const (
	byBoth closing = iota + 1
	byUs           // we reset it: whatever comes was sent before the peer knew
	byThePeer
)

// NewServer returns the end that answers. Its preface is in Out.
func NewServer() *Conn {
	c := newConn()
	c.server = true
	c.out = appendSettings(c.out,
		setting{settingMaxStreams, MaxStreams}, setting{settingInitialWindow, StreamWindow}, setting{settingMaxHead, MaxHead}, setting{settingConnect, 1})
	c.openWindow()
	return c
}

// NewClient returns the end that asks. Its preface is in Out.
func NewClient() *Conn {
	c := newConn()
	c.held = map[uint32]int64{}
	c.nextID, c.prefaced, c.scheme = 1, true, staticHTTP
	c.peerMax = 100 // until the peer says otherwise (RFC 9113 section 6.5.2 advises to allow at least so many)
	c.out = append(c.out, preface...)
	c.out = appendSettings(c.out,
		setting{settingPush, 0}, setting{settingInitialWindow, StreamWindow}, setting{settingMaxHead, MaxHead})
	c.openWindow()
	return c
}

// Secure makes the scheme of what a client asks for https: the connection is one of TLS to the application itself.
func (c *Conn) Secure() { c.scheme = staticHTTPS }

func newConn() *Conn {
	c := &Conn{
		streams: map[uint32]*stream{}, sendWindow: initialWindow, recvWindow: ConnWindow, peerWindow: initialWindow, awaitAck: 1,
		resets:   budget{left: resetBurst, max: resetBurst, perSecond: resetsPerSec},
		controls: budget{left: controlBurst, max: controlBurst, perSecond: controlPerSec},
	}
	c.dec.table.max, c.enc.table.max = tableSize, tableSize
	return c
}

// initialWindow is every window's size before anybody says otherwise.
const initialWindow = 65535

func (c *Conn) openWindow() { c.out = appendWindow(c.out, 0, ConnWindow-initialWindow) }

// Out is what waits to be written.
func (c *Conn) Out() []byte { return c.out }

// TakeOut hands over what waits to be written, and takes an empty buffer for what comes.
func (c *Conn) TakeOut(empty []byte) []byte {
	out := c.out
	c.out, c.control = empty[:0], 0
	return out
}

// Streams is the number of open streams.
func (c *Conn) Streams() int { return len(c.streams) }

// Midway tells that a field section, or the preface, is not complete.
func (c *Conn) Midway() bool { return c.headOf != 0 || !c.begun }

// Due is how long what has begun may take until it is complete: a field section, the preface, or the frame that rest is the
// beginning of. 0: nothing has begun.
func (c *Conn) Due(rest []byte) time.Duration {
	switch {
	case c.Midway():
		return HeaderTime
	case len(rest) == 0:
		return 0
	case len(rest) > 3 && FrameType(rest[3]) == frameData:
		return DataTime
	}
	return HeaderTime
}

// Overdue ends the connection of a peer that did not keep to Due. The events are put into list.
func (c *Conn) Overdue(list []Event) ([]Event, error) {
	var err error
	list = c.aside(list, func() { err = c.fail(errSlow) })
	return list, err
}

// Usable tells that a request can be opened. A connection whose window is held by a few that do not read is left to them.
func (c *Conn) Usable() bool {
	return c.recvWindow+c.recvCredit >= ConnWindow/2 && c.failed == nil && !c.peerGone && !c.goingAway && c.nextID < 1<<31 && uint32(len(c.streams)) < c.peerMax
}

// Closing tells that no request can be opened any more, however many end.
func (c *Conn) Closing() bool {
	return c.failed != nil || c.peerGone || c.goingAway || c.peerMax == 0 || c.nextID >= 1<<31
}

// Ended tells that the connection takes no more streams and has none.
func (c *Conn) Ended() bool {
	return len(c.streams) == 0 && (c.goingAway || c.peerGone || c.failed != nil || !c.server && c.nextID >= 1<<31)
}

// Extended tells that the peer takes extended CONNECT.
func (c *Conn) Extended() bool { return c.connectOK }

// Begun tells that the peer's SETTINGS are here.
func (c *Conn) Begun() bool { return c.begun }

// Own gives a request's stream to its owner; false when it is over already.
func (c *Conn) Own(id uint32, owner Owner, token uint32) bool {
	st := c.streams[id]
	if st == nil {
		return false
	}
	st.owner, st.token = owner, token
	return true
}

func (c *Conn) add(id uint32) *stream {
	var st *stream
	if n := len(c.free); n > 0 {
		st = c.free[n-1]
		c.free = c.free[:n-1]
	} else {
		st = new(stream)
	}
	*st = stream{id: id, sendWindow: c.peerWindow, recvWindow: StreamWindow, left: unknownLength}
	c.streams[id] = st
	return st
}

// remove forgets a stream. The connection's window for what its owner has not consumed is given back, but for a response that is
// complete: its owner goes on to consume it.
func (c *Conn) remove(st *stream, how closing) {
	delete(c.streams, st.id)
	c.remember(st.id, how)
	if how == byBoth && !c.server && st.unconsumed > 0 {
		c.held[st.id] = st.unconsumed
	} else {
		c.credit(nil, st.unconsumed)
	}
	if how == byBoth {
		c.resets.give(1)
	}
	*st = stream{}
	if len(c.free) < MaxStreams {
		c.free = append(c.free, st)
	}
}

func (c *Conn) remember(id uint32, how closing) {
	c.closed[c.closedN%closedRing] = closed{id, how}
	c.closedN++
}

// ordered returns the open streams from the oldest to the newest: what happens to several must not depend on chance.
func (c *Conn) ordered() []*stream {
	c.order = c.order[:0]
	for _, st := range c.streams {
		c.order = append(c.order, st)
	}
	slices.SortFunc(c.order, func(a, b *stream) int { return cmp.Compare(a.id, b.id) })
	return c.order
}

// ended tells how a stream was closed; 0 when it is not remembered.
func (c *Conn) ended(id uint32) closing {
	for i := range c.closed {
		if c.closed[i].id == id {
			return c.closed[i].how
		}
	}
	return 0
}

func (c *Conn) event(kind Kind, st *stream) *Event {
	c.Events = append(c.Events, Event{Kind: kind, Stream: st.id, Owner: st.owner, Token: st.token})
	return &c.Events[len(c.Events)-1]
}

// budget is a bucket of tokens that fills by time and by merit.
type budget struct {
	left, max, perSecond int
	at                   time.Time
}

// take spends one token; false when there is none.
func (b *budget) take(now time.Time) bool {
	if b.at.IsZero() {
		b.at = now
	}
	if b.left <= 0 {
		b.fill(now)
	}
	b.left--
	return b.left >= 0
}

func (b *budget) fill(now time.Time) {
	if n := int(now.Sub(b.at).Seconds() * float64(b.perSecond)); n > 0 {
		b.left = min(b.max, max(0, b.left)+n)
		b.at = now
	}
}

func (b *budget) give(n int) { b.left = min(b.max, b.left+n) }
