package forward

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/pool"
)

// plainBackend carries a call to a backend that speaks HTTP/1.1. Its goroutine reads the response; a second one sends the body
// where that is not here as a whole. What it shares with the call is guarded by the call's lock.
type plainBackend struct {
	x     *call
	token uint32
	conn  *pool.Conn
	cond  sync.Cond // on the call's lock: something to send came, or what waited for the client is gone
	gone  bool      // nobody waits any more

	in      reader
	out     []byte
	body    body // of the response; its chunks hold the trailers
	head    bool
	upgrade bool
	pumping chan struct{} // closed when the body is sent
	written bool          // all of it was
}

// attemptPlain sends the request to an endpoint in HTTP/1.1.
func (x *call) attemptPlain(e *lb.Endpoint) {
	b := &plainBackend{x: x, token: x.backendToken}
	b.cond.L = &x.mu
	x.plain = b
	go b.run(x.ctx, x.srv, e)
}

// wake makes the goroutines look again. The call's lock is held.
func (b *plainBackend) wake() { b.cond.Broadcast() }

// cut ends the attempt. The call's lock is held.
func (b *plainBackend) cut() {
	b.gone = true
	if b.conn != nil {
		_ = b.conn.Close()
	}
	b.cond.Broadcast()
}

func (b *plainBackend) run(ctx context.Context, srv *Server, e *lb.Endpoint) {
	conn, err := srv.opts.Pool.Get(ctx, target(e.Endpoint), time.Now(), false)
	x := b.x
	if !x.enterBackend(b.token) {
		if err == nil {
			srv.opts.Pool.Put(conn, time.Now())
		}
		return
	}
	if err != nil {
		e.Failed(time.Now())
		x.plain = nil
		x.retry(&fail.Error{Kind: fail.ConnectFailed, Detail: e.Text, Err: err}, true)
		x.leave()
		return
	}
	e.Worked()
	b.conn = conn
	b.begin()
	x.leave()

	_ = conn.SetDeadline(time.Now().Add(stall))
	if _, err = conn.Write(b.out); err == nil {
		b.pumping = make(chan struct{})
		go b.pump()
	}
	b.in.swap(smallBuffer)
	reusable, err := b.respond()
	giveBuffer(b.in.buf)
	reusable = b.stop(!reusable || err != nil) && reusable && err == nil
	if reusable {
		_ = conn.SetDeadline(time.Time{})
		conn.ReadBy, conn.WriteBy = time.Time{}, time.Time{}
		srv.opts.Pool.Put(conn, time.Now())
	} else {
		_ = conn.Close()
	}
	b.failed(err)
}

// stop ends the pump, and tells whether the request was sent as a whole.
func (b *plainBackend) stop(cut bool) bool {
	if b.pumping == nil {
		return false
	}
	b.x.mu.Lock()
	b.gone = true
	b.cond.Broadcast()
	b.x.mu.Unlock()
	if cut {
		_ = b.conn.Close() // it may be writing
	}
	<-b.pumping
	return b.written
}

// failed reports the end of an attempt that brought no complete response.
func (b *plainBackend) failed(err error) {
	x := b.x
	if err == nil || !x.enterBackend(b.token) {
		return
	}
	defer x.leave()
	x.plain = nil
	var failure *fail.Error
	if !errors.As(err, &failure) {
		failure = &fail.Error{Kind: fail.UpstreamReset, Err: err}
	}
	stale := failure.Kind == fail.UpstreamReset && b.conn.Reused && !x.heard && idempotent(x.rec.Method)
	x.retry(failure, stale)
}

// begin writes the request's head. The call's lock is held.
func (b *plainBackend) begin() {
	x := b.x
	b.head, b.upgrade = x.rec.Method == "HEAD", x.req.Upgrade != nil
	req := x.req
	req.Fields = joinCookies(x.req.Fields)
	if x.whole && req.Body.Kind == msg.Chunked && len(x.trailers) == 0 {
		req.Body = msg.Body{Kind: msg.Sized, Length: int64(x.toBackend.size)}
	}
	if req.Body.Kind == msg.Sized && announcesTrailers(req.Fields) {
		req.Body = msg.Body{Kind: msg.Chunked}
	}
	if req.Upgrade != nil {
		req.Body = msg.Body{}
		if msg.EqualName(req.Upgrade, "websocket") {
			req.Fields.Add([]byte("Sec-WebSocket-Key"), newKey())
		}
	}
	x.req.Body = req.Body
	b.out = http1.AppendRequest(b.out[:0], &req)
}

// newKey is a Sec-WebSocket-Key, which HTTP/2 has none of (RFC 6455 section 4.1, RFC 8441 section 5).
func newKey() []byte {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return []byte(base64.StdEncoding.EncodeToString(nonce[:]))
}

// joinCookies puts the crumbs of Cookie together (RFC 9113 section 8.2.3).
func joinCookies(fields msg.Fields) msg.Fields {
	out := make(msg.Fields, 0, len(fields)+2)
	at := -1
	for _, f := range fields {
		if !msg.EqualName(f.Name, "cookie") {
			out = append(out, f)
			continue
		}
		if at < 0 {
			at = len(out)
			out = append(out, f)
			continue
		}
		joined := append(append([]byte{}, out[at].Value...), "; "...)
		joined = append(joined, f.Value...)
		out[at].Value = joined
	}
	return out
}

// pump sends the body as it comes.
func (b *plainBackend) pump() {
	defer close(b.pumping)
	x := b.x
	var piece, out []byte
	for {
		x.mu.Lock()
		for !b.gone && x.toBackend.empty() && !x.whole {
			b.cond.Wait()
		}
		if b.gone {
			x.mu.Unlock()
			return
		}
		piece = append(piece[:0], x.toBackend.first()...)
		x.toBackend.take(len(piece))
		last, kind, tunnel := x.whole && x.toBackend.empty(), x.req.Body.Kind, x.req.Upgrade != nil
		var trailers msg.Fields
		if last {
			trailers = append(trailers, x.trailers...)
		}
		x.consume(len(piece))
		x.mu.Unlock()
		out = out[:0]
		if kind == msg.Chunked {
			out = http1.AppendChunk(out, piece)
			if last {
				out = http1.AppendLastChunk(out, trailers)
			}
		} else {
			out = append(out, piece...)
		}
		_ = b.conn.SetWriteDeadline(time.Now().Add(stall))
		if _, err := b.conn.Write(out); err != nil {
			return // the reader finds out why, and whether there is an answer all the same
		}
		if last {
			b.written = true
			if tunnel {
				_ = b.conn.CloseWrite()
			}
			return
		}
	}
}

// fill reads once.
func (b *plainBackend) fill() error {
	b.in.rewind()
	if !b.in.room() {
		return http1.ErrHeadTooLarge
	}
	_ = b.conn.SetReadDeadline(time.Time{}) // the call's own clock ends it
	err := b.in.fill(b.conn)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// respond reads the response and hands it to the client.
func (b *plainBackend) respond() (reusable bool, err error) {
	var resp msg.Response
	scanned := 0
	for {
		end, err := http1.HeadEnd(b.in.data(), scanned)
		if err != nil {
			return false, garbage(err)
		}
		if end == 0 {
			scanned = len(b.in.data())
			if err := b.fill(); err != nil {
				return false, err
			}
			continue
		}
		resp.Reset()
		err = http1.ParseResponse(b.in.data()[:end], b.head, &resp)
		if err != nil {
			return false, garbage(err)
		}
		b.in.consume(end)
		scanned = 0
		switch {
		case resp.Status == 101:
			return false, b.tunnel(&resp)
		case b.upgrade && resp.Status >= 200 && resp.Status < 300:
			// In HTTP/2 it would say that protocols were switched.
			return false, &fail.Error{Kind: fail.UpstreamGarbage, Detail: "it did not switch protocols"}
		}
		b.body.reset()
		b.body.expect(resp.Body)
		if resp.Body.Kind == msg.UntilClose {
			b.body.kind, b.body.done = msg.UntilClose, false
		}
		final := resp.Status >= 200
		if !b.pass(&resp, final && b.body.done) {
			return false, nil
		}
		if final {
			break
		}
	}
	for !b.body.done {
		if err := b.piece(); err != nil {
			return false, err
		}
	}
	return !resp.Close && b.in.empty(), nil
}

// pass hands a head to the client; false when nobody waits.
func (b *plainBackend) pass(resp *msg.Response, end bool) bool {
	x := b.x
	if !x.enterBackend(b.token) {
		return false
	}
	defer x.leave()
	if end {
		x.plain = nil // done must not cut a connection that can be used again
	}
	if x.conn == nil { // a mirror's copy
		x.over = end
		return true
	}
	x.respond(resp, end)
	return x.backendToken == b.token || end
}

// piece hands what was read of the body on, and reads more.
func (b *plainBackend) piece() error {
	data := b.in.data()
	if b.body.kind == msg.UntilClose {
		b.in.consume(len(data))
	} else {
		raw, n, err := b.body.raw(&b.in)
		if err != nil {
			return garbage(err)
		}
		data = raw[:n]
	}
	if !b.give(data, b.body.done) {
		return errHalted
	}
	if b.body.done {
		return nil
	}
	err := b.fill()
	if b.body.kind == msg.UntilClose && errors.Is(err, io.ErrUnexpectedEOF) {
		b.body.done = true
		if !b.give(nil, true) {
			return errHalted
		}
		return nil
	}
	return err
}

// give sends a part of the body to the client, and waits while that takes no more.
func (b *plainBackend) give(p []byte, end bool) bool {
	x := b.x
	if !x.enterBackend(b.token) {
		return false
	}
	defer x.leave()
	x.rec.BytesOut += int64(len(p))
	for !x.toClient.empty() && !b.gone {
		b.cond.Wait()
	}
	if b.gone {
		return false
	}
	if x.conn == nil { // a mirror's copy
		x.over = end
		return true
	}
	if trailers := b.body.chunks.Trailers; end {
		if !x.tunnel {
			x.plain = nil
		}
		x.callStatus(trailers)
		x.closing = keepFields(x.closing, trailers)
	}
	x.toClient.add(p)
	x.ending = end
	x.flush()
	return true
}

// tunnel serves an upgrade: to the client it is extended CONNECT, so the response is 200 and the octets are DATA.
func (b *plainBackend) tunnel(resp *msg.Response) error {
	resp.Status = 200
	resp.Fields.Remove("sec-websocket-accept")
	if !b.pass(resp, false) {
		return nil
	}
	b.body.kind = msg.UntilClose
	for !b.body.done {
		if err := b.piece(); err != nil {
			return err
		}
	}
	<-b.pumping // the client's way ends on its own
	if x := b.x; x.enterBackend(b.token) {
		x.tunnel = false // or cannot go on: then the client must hear of it
		x.done()
		x.leave()
	}
	return nil
}
