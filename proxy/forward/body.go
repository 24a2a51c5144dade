package forward

import (
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/pool"
)

// body is the request body on its way: how much is still to come from the client.
type body struct {
	kind   msg.BodyKind
	left   int64
	room   int64 // how much of a chunked body may still come; negative: any amount
	chunks http1.Chunks
	done   bool
}

func (b *body) reset() {
	b.chunks.Reset()
	*b = body{chunks: b.chunks}
}

func (b *body) expect(m msg.Body) {
	b.kind, b.left = m.Kind, m.Length
	b.room = -1
	b.done = m.Kind == msg.NoBody || m.Kind == msg.Sized && m.Length == 0
}

// limit bounds the body (RFC 9110 section 15.5.14): one that announces its length is refused before anything is sent.
func (b *body) limit(most int64) error {
	if most == 0 || b.done {
		return nil
	}
	b.room = most
	if b.left > most {
		return &fail.Error{Kind: fail.BodyTooLarge, Detail: "its " + strconv.FormatInt(b.left, 10) + " bytes are more than the limit of " + strconv.FormatInt(most, 10)}
	}
	return nil
}

// errBodyTooLarge: a chunked body got longer than the limit.
var errBodyTooLarge = errors.New("the body got longer than the limit")

// take consumes what from holds of the body. The encoding for the backend is appended to out, unless discard. n counts
// body bytes.
func (b *body) take(from *reader, out []byte, discard bool) (next []byte, n int, err error) {
	if b.done {
		return out, 0, nil
	}
	data := from.data()
	if b.kind == msg.Sized {
		n = int(min(b.left, int64(len(data))))
		from.consume(n)
		b.left -= int64(n)
		b.done = b.left == 0
		if discard {
			return out, n, nil
		}
		return append(out, data[:n]...), n, nil
	}
	decoded, used, err := b.chunks.Decode(data[:0], data)
	if err != nil {
		return out, 0, err
	}
	from.consume(used)
	b.done = b.chunks.Done()
	if !discard && !b.fits(len(decoded)) {
		return out, 0, errBodyTooLarge
	}
	if !discard {
		out = http1.AppendChunk(out, decoded)
		if b.done {
			out = http1.AppendLastChunk(out, b.chunks.Trailers)
		}
	}
	return out, len(decoded), nil
}

// raw consumes what from holds of the body and returns it without its framing: a view of n octets.
func (b *body) raw(from *reader) (view []byte, n int, err error) {
	data := from.data()
	if b.kind == msg.Sized {
		n = int(min(b.left, int64(len(data))))
		from.consume(n)
		b.left -= int64(n)
		b.done = b.left == 0
		return data[:n], n, nil
	}
	decoded, used, err := b.chunks.Decode(data[:0], data)
	if err != nil {
		return nil, 0, err
	}
	from.consume(used)
	if b.done = b.chunks.Done(); !b.fits(len(decoded)) {
		return nil, 0, errBodyTooLarge
	}
	return decoded, len(decoded), nil
}

// fits counts n octets of a chunked body against its limit.
func (b *body) fits(n int) bool {
	if b.room < 0 {
		return true
	}
	b.room -= int64(n)
	return b.room >= 0
}

// discardLimit is how much of an unwanted body is read to keep a connection; above that a new one is cheaper.
const discardLimit = 64 << 10

// discardBody reads over the body of a request that was answered without it. False: the connection must end.
func (s *session) discardBody() bool {
	x := s.x
	if x.req.Continue || x.body.left > discardLimit {
		return false
	}
	s.setRead(time.Now().Add(lingerTime))
	for total := 0; ; {
		_, n, err := x.body.take(&x.in, nil, true)
		if total += n; err != nil || total > discardLimit {
			return false
		}
		if x.body.done {
			return true
		}
		x.in.rewind()
		if !x.in.room() || x.in.fill(s.conn) != nil {
			return false
		}
	}
}

// pump carries the rest of a request body to the backend while the session's goroutine reads the response. Its fields
// belong to its goroutine until done delivers.
type pump struct {
	used    bool // in this exchange
	running bool
	rd      reader
	out     []byte
	bytes   int64
	tee     []byte // copy for mirrors; nil: none wanted, or too large
	err     error  // a *fail.Error about the client, or what writing to the backend returned
	done    chan struct{}

	haltAt time.Time // set before halted
	halted atomic.Bool
}

// reading tells whether the pump would notice by itself that the client goes away.
func (p *pump) reading() bool { return p.running && len(p.done) == 0 }

var errHalted = errors.New("the request body was not read to its end")

// startPump begins the second goroutine.
func (s *session) startPump(conn *pool.Conn) {
	p := &s.x.pump
	p.done = make(chan struct{}, 1)
	p.rd.swap(largeBuffer)
	p.out = takeBuffer(largeBuffer)[:0]
	p.used, p.running, p.err, p.bytes = true, true, nil, 0
	p.halted.Store(false)
	in := &s.x.in
	p.rd.restore(in.data()) // an unfinished chunk line; the head in front of it is still in use
	in.consume(len(in.data()))
	go s.runPump(conn)
}

// runPump ends when the body is over, when either side fails, or by halt.
func (s *session) runPump(conn *pool.Conn) {
	p := &s.x.pump
	p.err = s.pumpBody(conn)
	var failure *fail.Error
	if errors.As(p.err, &failure) {
		conn.Close() // the backend must not take half a body for a whole one; this wakes the session as well
	}
	p.done <- struct{}{}
}

func (s *session) pumpBody(conn *pool.Conn) error {
	p, b := &s.x.pump, &s.x.body
	for !b.done {
		if err := s.fillPump(); err != nil {
			return err
		}
		out, n, err := b.take(&p.rd, p.out[:0], false)
		p.out = out
		if err != nil {
			return s.malformed(err)
		}
		p.bytes += int64(n)
		if p.tee != nil {
			if p.tee = append(p.tee, out...); len(p.tee) > maxMirror {
				p.tee = nil
			}
		}
		if len(out) == 0 {
			continue
		}
		if now := time.Now(); !p.halted.Load() && conn.WriteBy.Sub(now) < stall/2 {
			conn.WriteBy = now.Add(stall)
			conn.SetWriteDeadline(conn.WriteBy)
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// fillPump reads once from the client.
func (s *session) fillPump() error {
	p := &s.x.pump
	p.rd.rewind()
	p.rd.room() // a chunked body leaves at most an unfinished line or trailer section, so there always is room
	for {
		if s.armRead(time.Now(), stall); p.halted.Load() {
			s.setRead(p.haltAt)
		}
		err := p.rd.fill(s.conn)
		switch {
		case err == nil:
			return nil
		case p.halted.Load():
			return errHalted
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return &fail.Error{Kind: fail.ClientGone, Err: err}
		case !time.Now().Before(s.readBy):
			return &fail.Error{Kind: fail.ClientStalled}
		}
		s.setRead(time.Now().Add(stall)) // woken by a drain that came too late
	}
}

// stopPump gives the pump until t to finish, waits for it and takes over what it left. It returns the pump's error.
func (s *session) stopPump(conn *pool.Conn, t time.Time) error {
	p, x := &s.x.pump, s.x
	if !p.running {
		return nil
	}
	select {
	case <-p.done:
	default:
		p.haltAt = t
		p.halted.Store(true)
		s.conn.SetReadDeadline(t)
		conn.SetWriteDeadline(t)
		<-p.done
		conn.WriteBy = t
	}
	p.running = false
	x.rec.BytesIn += p.bytes
	if x.body.done && p.err == nil {
		x.in.restore(p.rd.data()) // the beginning of the next request
		if p.tee != nil {
			s.sendMirrors(p.tee)
		}
	}
	giveBuffer(p.rd.buf)
	giveBuffer(p.out)
	p.rd, p.out, p.tee = reader{}, nil, nil
	s.readBy = past
	return p.err
}

func (s *session) malformed(err error) error {
	if errors.Is(err, errBodyTooLarge) {
		return &fail.Error{Kind: fail.BodyTooLarge, Detail: "more than the limit of " + strconv.FormatInt(s.x.dest.MaxRequestBody, 10) + " bytes"}
	}
	var wrong *http1.Error
	if errors.As(err, &wrong) {
		return &fail.Error{Kind: fail.FromStatus(wrong.Status), Detail: wrong.Reason}
	}
	return &fail.Error{Kind: fail.BadRequest, Err: err}
}
