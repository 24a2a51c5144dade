package forward

import (
	"errors"
	"io"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/sock"
)

// maxInterim bounds 1xx responses to one request; a backend that sends more is not waiting for anything.
const maxInterim = 32

// respond reads the response and passes it on. reusable tells that the backend's connection is clean.
func (s *session) respond() (reusable bool, err error) {
	x := s.x
	for interim := 0; ; interim++ {
		if err := s.readResponse(); err != nil {
			return false, err
		}
		if x.resp.Status >= 200 || x.opened() {
			break
		}
		if interim == maxInterim {
			return false, &fail.Error{Kind: fail.UpstreamGarbage, Detail: "too many interim responses"}
		}
		if err := s.passInterim(); err != nil {
			return false, err
		}
	}
	if x.opened() {
		return false, s.tunnel()
	}
	if err := s.refusedBehind(); err != nil {
		return false, err
	}
	reusable = !x.resp.Close
	if x.again(x.resp.Status) {
		// A connection whose answer is here as a whole can be used again.
		return reusable && x.resp.Body.Kind <= msg.Sized && x.resp.Body.Length == int64(len(x.up.data())), errAgain
	}
	x.stay.change(&x.resp, x.layers, x.endpoint)
	in := x.resp.Body.Kind
	// RFC 9112 section 6.1: no transfer coding for HTTP/1.0; section 6.3: a body without an announced end would cost
	// the client its connection, so it is chunked where that is understood.
	if in == msg.Chunked && x.req.Minor == 0 {
		x.resp.Body.Kind = msg.UntilClose
	} else if in == msg.UntilClose && x.req.Minor == 1 {
		x.resp.Body.Kind = msg.Chunked
	}
	if x.resp.Body.Kind == msg.UntilClose || s.srv.draining.Load() {
		x.req.Close = true
	}
	x.resp.Close = x.req.Close
	x.rec.Code = x.resp.Status
	x.out = http1.AppendResponse(x.out[:0], &x.resp, x.req.Minor == 0)
	x.headSent = true
	if in == msg.Sized {
		err = s.relaySized()
	} else {
		err = s.relay(in)
	}
	s.bulk = x.rec.BytesOut > smallBuffer
	return reusable && err == nil && x.up.empty(), err
}

// readResponse reads one response head.
func (s *session) readResponse() error {
	x := s.x
	x.resp.Reset()
	scanned := 0
	for {
		end, err := http1.HeadEnd(x.up.data(), scanned)
		if err == nil && end > 0 {
			head := x.up.data()[:end]
			x.up.consume(end)
			if err = http1.ParseResponse(head, x.isHead, &x.resp); err == nil {
				return nil
			}
		}
		if err == nil && !http1.MayBeResponse(x.up.data()) {
			err = http1.ErrStatusLine
		}
		if err != nil {
			return garbage(err)
		}
		scanned = len(x.up.data())
		if x.up.buf != nil && !x.up.room() {
			return garbage(http1.ErrHeadTooLarge)
		}
		if err := s.fillUp(); err != nil {
			return s.ended(err)
		}
	}
}

func garbage(err error) error {
	var wrong *http1.Error
	if !errors.As(err, &wrong) {
		return &fail.Error{Kind: fail.UpstreamGarbage, Err: err}
	}
	kind := fail.UpstreamGarbage
	if wrong.Status == 431 {
		kind = fail.UpstreamTooLarge
	}
	return &fail.Error{Kind: kind, Detail: wrong.Reason}
}

// passInterim passes a 1xx response on, except to HTTP/1.0 clients (RFC 9110 section 15.2).
func (s *session) passInterim() error {
	x := s.x
	if x.req.Minor == 0 {
		return nil
	}
	x.interim = true
	b := http1.AppendResponse(takeBuffer(smallBuffer)[:0], &x.resp, false)
	err := s.write(b, x.now, x.until)
	giveBuffer(b)
	if err != nil {
		return s.clientFailed(err)
	}
	return nil
}

// relaySized sends the head that is in x.out and a body of known length after it. The body goes out of the buffer that
// it was read into, and so does the head: it is put in front, where the backend's was.
func (s *session) relaySized() error {
	x := s.x
	left := x.resp.Body.Length
	whole := left <= int64(len(x.up.data()))
	head := int64(0) // what of x.up is not body
	if x.up.prepend(x.out) {
		head = int64(len(x.out))
	} else if err := s.write(x.out, x.now, x.until); err != nil {
		return s.clientFailed(err)
	}
	if !whole {
		s.readOn(head + left)
	}
	for {
		out := x.up.data()
		out = out[:min(int64(len(out)), head+left)]
		x.up.consume(len(out))
		left -= int64(len(out)) - head
		x.rec.BytesOut += int64(len(out)) - head
		head = 0
		if err := s.write(out, x.now, x.until); err != nil {
			return s.clientFailed(err)
		}
		if left == 0 {
			return nil
		}
		x.up.rewind()
		if s.splices(left) {
			return s.spliceSized(left)
		}
		if err := s.fillUp(); err != nil {
			return s.ended(err)
		}
	}
}

const (
	// spliceFrom is how much of a body must be to come to make splicing cheaper than copying.
	spliceFrom = 256 << 10
	// spliceFew is how many requests may be in progress. With more, splicing still takes less of the proxy's time, but costs
	// the peer more than that: it gets large pieces that have left the processor's cache.
	spliceFew = 2
)

// splices tells whether the rest of a response body goes through the kernel, and prepares that.
func (s *session) splices(left int64) bool {
	if left < spliceFrom || s.srv.inFlight.Load() > spliceFew {
		return false
	}
	s.x.splice = sock.NewSplice(sock.Below(s.conn), s.x.conn.Conn)
	return s.x.splice != nil
}

// spliceSized moves the rest of a body without looking at it.
func (s *session) spliceSized(left int64) error {
	x := s.x
	defer func() {
		x.splice.Release()
		x.splice = nil
	}()
	for x.left = left; x.left > 0; {
		before := x.left
		if err := s.fillUp(); err != nil {
			return s.ended(err)
		}
		x.rec.BytesOut += before - x.left
		s.armWrite(x.now, x.until)
		if err := x.splice.Flush(); err != nil {
			return s.clientFailed(err)
		}
	}
	return nil
}

// readOn reads what has already come of a message that is larger than the buffer, so that it leaves in one piece. Errors
// come again when it is read on.
func (s *session) readOn(size int64) {
	x := s.x
	if !x.up.small() || size <= int64(len(x.up.buf)) {
		return
	}
	full := x.up.w == len(x.up.buf)
	x.up.swap(largeBuffer)
	if c, ok := x.conn.Conn.(interface{ ReadNow([]byte) (int, error) }); ok && full {
		n, _ := c.ReadNow(x.up.buf[x.up.w:])
		x.up.w += n
	}
}

// relay sends the head that is in x.out and the body after it, whose end has to be found. in is how the backend
// delimits it.
func (s *session) relay(in msg.BodyKind) error {
	x := s.x
	x.upChunks.Reset()
	if !x.up.small() && cap(x.out) <= smallBuffer {
		s.widenOut()
	}
	for {
		done, n, err := s.decode(in)
		if err != nil {
			return garbage(err)
		}
		x.rec.BytesOut += int64(n)
		if len(x.out) > 0 {
			if err := s.write(x.out, x.now, x.until); err != nil {
				return s.clientFailed(err)
			}
		}
		if done {
			return nil
		}
		x.out = x.out[:0]
		s.widen()
		err = s.fillUp()
		if errors.Is(err, io.EOF) && in == msg.UntilClose {
			if x.resp.Body.Kind == msg.Chunked {
				return s.writeLast()
			}
			return nil
		}
		if err != nil {
			return s.ended(err)
		}
	}
}

// decode appends what was read of the body to x.out, in the framing that the client gets.
func (s *session) decode(in msg.BodyKind) (done bool, n int, err error) {
	x := s.x
	data := x.up.data()
	switch in {
	case msg.NoBody:
		return true, 0, nil
	case msg.UntilClose:
		n = len(data)
		x.up.consume(n)
		s.encode(data)
		return false, n, nil
	default: // msg.Chunked
		decoded, used, err := x.upChunks.Decode(data[:0], data)
		if err != nil {
			return false, 0, err
		}
		x.up.consume(used)
		s.encode(decoded)
		if done = x.upChunks.Done(); done && x.resp.Body.Kind == msg.Chunked {
			x.out = http1.AppendLastChunk(x.out, x.upChunks.Trailers)
		}
		return done, len(decoded), nil
	}
}

func (s *session) encode(data []byte) {
	if x := s.x; x.resp.Body.Kind == msg.Chunked {
		x.out = http1.AppendChunk(x.out, data)
	} else {
		x.out = append(x.out, data...)
	}
}

func (s *session) writeLast() error {
	x := s.x
	x.out = http1.AppendLastChunk(x.out[:0], nil)
	if err := s.write(x.out, x.now, x.until); err != nil {
		return s.clientFailed(err)
	}
	return nil
}

// widen makes room for the next read: large buffers for a body that has filled a small one.
func (s *session) widen() {
	x := s.x
	full := x.up.w == len(x.up.buf)
	x.up.rewind()
	if x.up.small() && full {
		x.up.swap(largeBuffer)
		s.widenOut()
	}
	x.up.room()
}

// widenOut makes room for what a large buffer can hold.
func (s *session) widenOut() {
	x := s.x
	next := takeBuffer(largeBuffer)[:0]
	next = append(next, x.out...)
	giveBuffer(x.out)
	x.out = next
}

// clientFailed is what an error of writing to the client means.
func (s *session) clientFailed(err error) error {
	if x := s.x; !x.until.IsZero() && !time.Now().Before(x.until) {
		return &fail.Error{Kind: x.untilKind, Err: err}
	}
	return &fail.Error{Kind: fail.ClientGone, Err: err}
}
