// Package mux runs HTTP/2 connections: one goroutine reads and hands events to the owners of streams, another writes whatever
// anybody has put into the connection since it last looked, so that the frames of many streams share a system call.
package mux

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
)

const (
	// tick is how often a connection looks after itself.
	tick = 10 * time.Second
	// stallTicks of a closed window end a stream: two minutes without any progress.
	stallTicks = 12
	// writeStall is how long a peer may take nothing from its socket.
	writeStall = 2 * time.Minute
	// lastWords is how long a peer may take to read why its connection ends.
	lastWords = 5 * time.Second
	// linger is how long the end of a peer is waited for, so that what it still sends does not destroy our last words.
	linger = time.Second
)

// Options of a connection. All are optional.
type Options struct {
	// Secure tells a client that its connection is one of TLS to the application itself, whose URLs are of https.
	Secure bool
	// Accept takes a new request: it gives the stream an owner by Own, or ends it.
	Accept func(c *Conn, request *http2.Event)
	// Idle ends a connection that has no streams for so long; 0: never.
	Idle time.Duration
	// Life is when a connection stops to take new streams; 0: never.
	Life time.Duration
	// Ended is told why the connection ended, once.
	Ended func(c *Conn, why error)
	// Stalled is told of streams that were reset because their peer kept its window closed.
	Stalled func(n int)
}

// Conn is a running connection. It is safe for concurrent use. Nothing of it calls an owner while it holds its lock, so owners may
// call it under locks of theirs.
type Conn struct {
	conn  net.Conn
	opts  Options
	wake  chan struct{} // has an element when the writer must look
	begun chan struct{} // closed when the peer's SETTINGS are here

	in     reader // of the goroutine that reads; not on its stack, most of which a connection that rests can do without
	writer sync.WaitGroup

	mu     sync.Mutex // guards all below
	m      *http2.Conn
	awake  bool // the writer was woken and has not gone back to sleep
	ending bool // nothing more is read; the connection ends when all is written
	broken error
	born   time.Time
	used   time.Time // when there was a stream last
	heard  bool      // since the last tick
	timer  *time.Timer
	spare  []byte // the buffer that is not in use for writing
}

var (
	// ErrIdle, ErrPing and the others are why connections end.
	ErrIdle   = errors.New("idle")
	ErrPing   = errors.New("the peer does not answer PING")
	ErrDone   = errors.New("done")
	ErrClosed = errors.New("closed")
)

func newConn(conn net.Conn, m *http2.Conn, opts Options) *Conn {
	now := time.Now()
	c := &Conn{
		conn: conn, opts: opts, m: m, wake: make(chan struct{}, 1), begun: make(chan struct{}),
		born: now, used: now,
	}
	c.timer = time.AfterFunc(tick, c.tick)
	return c
}

// Server is what answers on conn, once it serves.
func Server(conn net.Conn, opts Options) *Conn { return newConn(conn, http2.NewServer(), opts) }

// Client asks on conn, from now on.
func Client(conn net.Conn, opts Options) *Conn {
	m := http2.NewClient()
	if opts.Secure {
		m.Secure()
	}
	c := newConn(conn, m, opts)
	go c.Serve()
	return c
}

// Serve reads until the connection ends, and closes it. It is called once; a client's runs already.
func (c *Conn) Serve() {
	c.start()
	c.end(c.read())
}

func (c *Conn) start() {
	c.writer.Go(c.write)
	c.mu.Lock()
	c.signal()
	c.mu.Unlock()
}

// end follows reading. The writer ends first, because what it has may be the reason that the peer is waiting for.
func (c *Conn) end(why error) {
	if c.in.buf != nil {
		buffers.give(c.in.buf)
	}
	c.mu.Lock()
	c.breaks(why)
	why = c.broken
	c.ending = true
	_ = c.conn.SetWriteDeadline(time.Now().Add(lastWords))
	events := c.m.Abandon(nil)
	c.timer.Stop()
	c.awake = true
	c.mu.Unlock()
	c.look()
	deliver(events)
	c.writer.Wait()
	c.drainPeer()
	_ = c.conn.Close()
	if c.opts.Ended != nil {
		c.opts.Ended(c, why)
	}
}

// drainPeer reads what the peer still sends, so that closing does not reset the connection under our GOAWAY.
func (c *Conn) drainPeer() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(linger))
	buf := buffers.take(smallBuffer)
	defer buffers.give(buf)
	for {
		if _, err := c.conn.Read(buf); err != nil {
			return
		}
	}
}

func deliver(events []http2.Event) {
	for i := range events {
		events[i].Deliver()
	}
}

// signal wakes the writer when there is something to write. The lock is held.
func (c *Conn) signal() {
	if !c.awake && (len(c.m.Out()) > 0 || c.m.Ended()) {
		c.awake = true
		c.look()
	}
}

func (c *Conn) look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Own gives a request's stream to its owner; false when it is over already.
func (c *Conn) Own(id uint32, owner http2.Owner, token uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.Own(id, owner, token)
}

// Open sends a request head; 0 when no stream can be opened.
func (c *Conn) Open(owner http2.Owner, token uint32, req *msg.Request, end bool) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return 0
	}
	id := c.m.Open(owner, token, req, end)
	c.signal()
	return id
}

// Respond sends a response head; false when the stream is over.
func (c *Conn) Respond(id uint32, resp *msg.Response, end bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := c.m.Respond(id, resp, end)
	c.signal()
	return ok
}

// Send sends what can be sent now of a body; Writable follows where that is not all.
func (c *Conn) Send(id uint32, p []byte, end bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.m.Send(id, p, end)
	c.signal()
	return n
}

// SendTrailers ends a stream with fields.
func (c *Conn) SendTrailers(id uint32, fields msg.Fields) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := c.m.SendTrailers(id, fields)
	c.signal()
	return ok
}

// Consume gives window back.
func (c *Conn) Consume(id uint32, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.Consume(id, n)
	c.signal()
}

// Reset ends a stream from our side.
func (c *Conn) Reset(id uint32, code http2.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.Reset(id, code)
	c.signal()
}

// Shutdown lets the streams that are open finish, and no others begin.
func (c *Conn) Shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.Shutdown(true)
	c.signal()
}

// Announce tells the peer that the connection will be shut down; what it sends until it knows is still served.
func (c *Conn) Announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.Shutdown(false)
	c.signal()
}

// Close cuts the connection.
func (c *Conn) Close() { c.fail(ErrClosed) }

func (c *Conn) fail(why error) {
	c.mu.Lock()
	c.breaks(why)
	c.mu.Unlock()
	_ = c.conn.Close() // the reader ends by it
}

// breaks notes why the connection ends: the first reason counts, whoever finds it. The lock is held.
func (c *Conn) breaks(why error) {
	if c.broken == nil {
		c.broken = why
	}
}

// usable tells how many streams are open, and whether one more can be.
func (c *Conn) usable() (streams int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.Streams(), c.broken == nil && !c.ending && c.m.Usable()
}

// Closing tells that the connection takes no requests any more, not only for now.
func (c *Conn) Closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken != nil || c.ending || c.m.Closing()
}

// Streams is the number of open streams.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.Streams()
}

// Extended tells that the peer takes extended CONNECT (RFC 8441); known once Begun is closed.
func (c *Conn) Extended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.Extended()
}

// Begun is closed when the peer's SETTINGS have come.
func (c *Conn) Begun() <-chan struct{} { return c.begun }

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.conn }

// tick looks after the connection: peers that are gone, streams that stall, ages.
func (c *Conn) tick() {
	now := time.Now()
	c.mu.Lock()
	if c.broken != nil || c.ending {
		c.mu.Unlock()
		return
	}
	events := c.m.Stalled(stallTicks, nil)
	var why error
	switch streams := c.m.Streams(); {
	case streams > 0:
		c.used = now
		if !c.heard && !c.m.Ping() {
			why = ErrPing
		}
	case c.opts.Idle > 0 && now.Sub(c.used) >= c.opts.Idle:
		c.m.Shutdown(true)
	}
	if c.opts.Life > 0 && now.Sub(c.born) >= c.opts.Life {
		c.m.Shutdown(true)
	}
	if !c.heard && len(c.m.Out()) == 0 && c.spare != nil { // at rest: two buffers are too many
		c.spare = nil
		c.m.TakeOut(nil)
	}
	if !c.heard && c.m.Streams() == 0 && !c.m.Ended() {
		c.unready()
	}
	c.heard = false
	c.signal()
	c.timer.Reset(tick)
	c.mu.Unlock()
	deliver(events)
	if len(events) > 0 && c.opts.Stalled != nil {
		c.opts.Stalled(len(events))
	}
	if why != nil {
		c.fail(why)
	}
}
