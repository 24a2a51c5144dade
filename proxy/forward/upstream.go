package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// maxAttempts bounds connections tried for one request.
const maxAttempts = 3

// staleError is a connection that was used before and ended without a byte of the response: in all likelihood the
// backend closed it before it saw the request, but that is not proven.
type staleError struct{ err error }

func (e *staleError) Error() string { return e.err.Error() }
func (e *staleError) Unwrap() error { return &fail.Error{Kind: fail.UpstreamReset, Err: e.err} }

// A receiving sidecar that could not connect to its application, or is going away, marks its 503 with this field: the
// request was not processed and may be sent again, whatever its method. Only a peer that proved its identity is
// believed, and receiving sidecars take the field out of what applications send.
const unprocessed = "leno-unprocessed"

var unprocessedName = []byte(unprocessed)

// errUnprocessed is the cause of failures that such an answer tells of.
var errUnprocessed = errors.New("the receiving sidecar did not process the request")

// refusedBehind looks for that mark.
func (s *session) refusedBehind() error {
	x := s.x
	if x.resp.Status != 503 {
		return nil
	}
	_, marked := x.resp.Fields.Get(unprocessed)
	if !marked {
		return nil
	}
	x.resp.Fields.Remove(unprocessed)
	if s.c.Direction == telemetry.Inbound || x.endpoint.Identity == "" || x.pump.used {
		return nil
	}
	x.endpoint.Failed(x.now)
	return &fail.Error{Kind: fail.ConnectFailed, Detail: x.endpoint.Text + " could not reach its application", Err: errUnprocessed}
}

// forward sends the request to an endpoint of c and the response back. A request is sent again where it is proven that no
// backend has seen it (no connection was made), where it is idempotent, was sent whole on a reused connection and no
// byte came back (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1), and where the rule says so (GEP-1731).
func (s *session) forward(c *plan.Cluster) error {
	x := s.x
	x.out = http1.AppendRequest(x.out[:0], &x.req)
	if x.held != nil {
		x.out = x.appendHeld(x.out)
	}
	out, n, err := x.body.take(&x.in, x.out, false)
	x.out = out
	x.rec.BytesIn += int64(n)
	if err != nil {
		x.req.Close = true
		return s.malformed(err)
	}
	if x.out, err = s.gather(x.out); err != nil {
		return err
	}
	if x.backend != nil && len(x.backend.Mirrors) > 0 && !x.connects() {
		s.startMirrors()
	}
	whole, wholeKind := x.until, x.untilKind
	var last *lb.Endpoint
	fresh := false
	for attempt := 1; ; attempt++ {
		e := x.stay.pick(c, x.now, last)
		if e == nil {
			return &fail.Error{Kind: fail.NoEndpoints, Detail: c.Config.Name}
		}
		x.until, x.untilKind = whole, wholeKind
		if x.rule != nil {
			s.limit(x.rule.Action.BackendTimeout, fail.BackendTimeout)
		}
		err := s.attempt(e, fresh)
		e.Done()
		if err == nil {
			return nil
		}
		c = newest(s.c, c)
		var stale *staleError
		switch safe := attempt < maxAttempts && !once(x.rule); {
		case safe && errors.Is(err, errUnprocessed):
			last, fresh = e, true
		case safe && fail.KindOf(err) == fail.ConnectFailed && c.Balancer.Other(e):
			last = e
		case attempt < maxAttempts && errors.As(err, &stale) && x.body.done && !x.pump.used && idempotent(x.rec.Method):
			fresh = true
		default:
			if err := s.wait(err, false, whole, wholeKind); err != nil {
				return err
			}
			last = e
		}
	}
}

// attempt carries the exchange out with one endpoint.
func (s *session) attempt(e *lb.Endpoint, fresh bool) error {
	x := s.x
	x.destination(e)
	conn, err := s.connect(e, fresh)
	if err != nil {
		return err
	}
	x.conn = conn
	s.holdUp(conn)
	x.up.r, x.up.w, x.heard, x.bulk = 0, 0, false, s.bulk

	if x.asker, _ = conn.Conn.(asker); x.asker == nil || !x.body.done {
		x.asker = nil
		if err := s.writeUp(conn, x.out); err == nil && !x.body.done {
			s.startPump(conn)
		} // where writing failed, an early answer may still be there to read
	}
	reusable, err := s.respond()
	if err == nil || reusable {
		// The rest of the body is wanted only as long as the connections are to be used again.
		if perr := s.stopPump(conn, time.Now().Add(grace)); perr != nil || !x.body.done {
			reusable = false
			x.req.Close = true
		}
	} else {
		conn.Close()
		if perr := s.stopPump(conn, past); perr != nil && !errors.Is(perr, errHalted) {
			err = blame(err, perr)
		}
	}
	if s.letUp(conn) && reusable {
		s.srv.opts.Pool.Put(conn, x.now)
	} else {
		conn.Close()
	}
	return err
}

// blame decides whose failure it was when both sides failed: the client's, if it was the one that broke off.
func blame(upstream, pump error) error {
	var failure *fail.Error
	if errors.As(pump, &failure) {
		return failure
	}
	return upstream
}

func (s *session) connect(e *lb.Endpoint, fresh bool) (*pool.Conn, error) {
	x := s.x
	ctx := s.ctx
	if !x.until.IsZero() {
		limited, cancel := context.WithDeadline(ctx, x.until)
		defer cancel()
		ctx = limited
	}
	conn, err := s.srv.opts.Pool.Get(ctx, target(e.Endpoint), x.now, fresh)
	if err == nil {
		e.Worked()
		return conn, nil
	}
	if !x.until.IsZero() && !time.Now().Before(x.until) {
		return nil, &fail.Error{Kind: x.untilKind, Err: err}
	}
	x.now = time.Now()
	e.Failed(x.now)
	return nil, &fail.Error{Kind: fail.ConnectFailed, Detail: e.Text, Err: err}
}

// asker is a connection that sends a whole request and waits for the response in one go, without a buffer.
type asker interface {
	Ask(question []byte, room func() []byte) (int, error)
}

// writeUp sends b to the backend.
func (s *session) writeUp(conn *pool.Conn, b []byte) error {
	s.armWriteUp(conn)
	_, err := conn.Write(b)
	return err
}

func (s *session) armWriteUp(conn *pool.Conn) {
	if x := s.x; !x.until.IsZero() {
		conn.WriteBy = x.until
		conn.SetWriteDeadline(x.until)
	} else if conn.WriteBy.Sub(x.now) < stall/2 {
		conn.WriteBy = x.now.Add(stall)
		conn.SetWriteDeadline(conn.WriteBy)
	}
}

// fillUp reads once from the backend into what room there is. While it waits, it looks from time to time whether the
// client is still there and whether the time is up.
func (s *session) fillUp() error {
	x := s.x
	for {
		now := x.now
		next := now.Add(look)
		if !x.until.IsZero() && x.until.Before(next) {
			next = x.until
		}
		// Setting a deadline costs more than comparing two times: one that is up to half a period early will do,
		// because running into it only means to look around.
		if left := x.conn.ReadBy.Sub(now); left < look/2 || x.conn.ReadBy.After(next) {
			x.conn.ReadBy = next
			x.conn.SetReadDeadline(next)
		}
		err := s.readUp()
		if err == nil {
			x.heard = true
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		x.now = time.Now()
		if !x.until.IsZero() && !x.now.Before(x.until) {
			return &fail.Error{Kind: x.untilKind}
		}
		if !x.pump.reading() && s.watcher().Gone() {
			return &fail.Error{Kind: fail.ClientGone}
		}
	}
}

// readUp reads once from the backend; the first time it sends the request before, where that has not been done.
func (s *session) readUp() error {
	x := s.x
	if x.splice != nil {
		n, err := x.splice.Fill(x.left)
		x.left -= int64(n)
		return err
	}
	if x.asker == nil {
		x.roomUp()
		return x.up.fill(x.conn)
	}
	s.armWriteUp(x.conn)
	n, err := x.asker.Ask(x.out, x.answer)
	x.asker = nil
	x.up.w += n
	return err
}

// roomUp is where to read the response to. Its buffer is taken only when there is something to put into it, a large one
// where the last response on this connection needed that.
func (x *exchange) roomUp() []byte {
	if x.bulk && x.up.small() {
		x.up.swap(largeBuffer)
	} else if x.up.buf == nil {
		x.up.swap(smallBuffer)
	}
	return x.up.buf[x.up.w:]
}

// ended makes a failure of the error that reading from the backend ended with.
func (s *session) ended(err error) error {
	var failure *fail.Error
	if errors.As(err, &failure) {
		return failure
	}
	if s.x.conn.Reused && !s.x.heard {
		return &staleError{err}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		err = io.ErrUnexpectedEOF
	}
	return &fail.Error{Kind: fail.UpstreamReset, Err: err}
}
