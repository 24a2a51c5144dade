package forward

import (
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/mux"
)

// asked is a stream of HTTP/2 for a goroutine that waits: the request of a client that speaks HTTP/1.1. Its owner's side collects
// what comes; the window of the stream bounds it.
type asked struct {
	conn *mux.Conn
	id   uint32

	mu       sync.Mutex // guards all below
	cond     sync.Cond
	heads    []msg.Response // interim ones, at most maxInterim, then the final one
	body     queue
	trailers msg.Fields
	heard    bool // a head came
	ended    bool
	broken   *fail.Error
	refused  bool // unprocessed
	lost     bool // with its connection
	reused   bool // the connection had streams before
	writable bool
	woken    bool // somebody wants the waiting goroutine to look around
}

func newAsked(conn *mux.Conn, reused bool) *asked {
	a := &asked{conn: conn, reused: reused}
	a.cond.L = &a.mu
	return a
}

// Response keeps a head.
func (a *asked) Response(_ uint32, r *msg.Response, end bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.heads) > maxInterim {
		a.broken = &fail.Error{Kind: fail.UpstreamGarbage, Detail: "too many interim responses"}
		a.cond.Broadcast()
		return
	}
	head := *r
	head.Fields = keepFields(nil, r.Fields)
	a.heads, a.heard = append(a.heads, head), true
	a.ended = end
	a.cond.Broadcast()
}

// Data keeps a part of the body.
func (a *asked) Data(_ uint32, p []byte, end bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.body.add(p)
	a.ended = end
	a.cond.Broadcast()
}

// Trailers keeps the trailers.
func (a *asked) Trailers(_ uint32, fields msg.Fields) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trailers, a.ended = keepFields(nil, fields), true
	a.cond.Broadcast()
}

// Reset keeps why it is over.
func (a *asked) Reset(_ uint32, code http2.Code, unprocessed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended && a.broken == nil { // the first reason counts
		a.broken, a.refused = &fail.Error{Kind: fail.UpstreamReset, Detail: code.String()}, unprocessed
		a.lost = code == http2.Lost
	}
	a.writable = true
	a.cond.Broadcast()
}

// Writable lets send go on.
func (a *asked) Writable(uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writable = true
	a.cond.Broadcast()
}

// wake makes a waiting wait return.
func (a *asked) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.woken = true
	a.cond.Broadcast()
}

// wait returns when there is something, or at the time given, whichever is first.
func (a *asked) wait(until time.Time, something func() bool) {
	timer := time.AfterFunc(time.Until(until), a.wake)
	defer timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.woken = false
	for !something() && a.broken == nil && !a.woken {
		a.cond.Wait()
	}
}

// head takes the next response head; nil: not here yet.
func (a *asked) head() (*msg.Response, *fail.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.heads) > 0 {
		head := a.heads[0]
		a.heads = a.heads[1:]
		return &head, nil
	}
	return nil, a.broken
}

// take appends what is here of the body to dst, at most max octets. done: that was the last of it.
func (a *asked) take(dst []byte, max int) (out []byte, done bool, failure *fail.Error) {
	a.mu.Lock()
	n := min(len(a.body.first()), max)
	dst = append(dst, a.body.first()[:n]...)
	a.body.take(n)
	done, failure = a.ended && a.body.empty(), a.broken
	a.mu.Unlock()
	a.conn.Consume(a.id, n)
	if n > 0 {
		failure = nil // first what came before it
	}
	return dst, done, failure
}

// send sends p, waiting for window as long as it takes; false when the stream is over.
func (a *asked) send(p []byte, end bool) bool {
	for {
		a.mu.Lock()
		a.writable = false
		over := a.broken != nil
		a.mu.Unlock()
		if over {
			return false
		}
		n := a.conn.Send(a.id, p, end)
		if p = p[n:]; len(p) == 0 {
			return true
		}
		a.mu.Lock()
		for !a.writable && a.broken == nil {
			a.cond.Wait()
		}
		a.mu.Unlock()
	}
}

// again tells whether the request can be sent another time: it was not looked at, or went to a connection that had in all likelihood
// been closed before (RFC 9110 section 9.2.2).
func (a *asked) again(idempotent bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused || a.lost && a.reused && idempotent && !a.heard
}

// unprocessed notes that what answered has not looked at the request.
func (a *asked) unprocessed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = true
}

// drop ends the stream if it is not over.
func (a *asked) drop(code http2.Code) {
	a.conn.Reset(a.id, code)
	a.Reset(0, code, false)
}
