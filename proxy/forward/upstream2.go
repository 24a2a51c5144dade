package forward

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
)

const cancelCode = http2.Cancel

var noDeadline time.Time

func farAway() time.Time { return time.Now().Add(time.Hour) }

// forward2 sends the request of an HTTP/1.1 client to an endpoint of c that gets HTTP/2, and the response back.
func (s *session) forward2(c *plan.Cluster) error {
	x := s.x
	first, err := s.firstBody()
	if err != nil {
		return err
	}
	if !http1.IsToken(x.req.Upgrade) {
		x.req.Upgrade = nil // no name in HTTP/2, like "foo/2" and lists; a server may ignore it (RFC 9110 section 7.8)
	}
	var accept []byte
	if x.req.Upgrade != nil {
		accept = webSocketKey(&x.req.Fields)
	}
	whole, wholeKind := x.until, x.untilKind
	var last *lb.Endpoint
	for attempt := 1; ; attempt++ {
		e := x.stay.pick(c, x.now, last)
		if e == nil {
			return &fail.Error{Kind: fail.NoEndpoints, Detail: c.Config.Name}
		}
		x.until, x.untilKind = whole, wholeKind
		if x.rule != nil {
			s.limit(x.rule.Action.BackendTimeout, fail.BackendTimeout)
		}
		refused, err := s.attempt2(e, first, accept)
		e.Done()
		if err == nil || x.pump.used || x.heard {
			return err
		}
		c = newest(s.c, c)
		switch safe := attempt < maxAttempts && !once(x.rule); {
		case safe && refused:
		case safe && fail.KindOf(err) == fail.ConnectFailed && c.Balancer.Other(e):
			last = e
		default:
			if err := s.wait(err, refused, whole, wholeKind); err != nil {
				return err
			}
			last = e
		}
	}
}

// attempt2 carries the exchange out with one endpoint. refused: the endpoint has, in all likelihood, not looked at the request.
func (s *session) attempt2(e *lb.Endpoint, first, accept []byte) (refused bool, err error) {
	x := s.x
	x.destination(e)
	x.heard = false
	empty := x.body.done && len(first) == 0 && len(x.body.chunks.Trailers) == 0
	a, err := s.ask(e, empty && x.req.Upgrade == nil)
	if err != nil {
		return false, err
	}
	sent := make(chan error, 1)
	if empty {
		sent <- nil
	} else {
		x.pump.used = !x.body.done
		x.pump.halted.Store(false)
		go func() { sent <- s.sendBody(a, first) }()
	}
	err = s.answer2(a, accept)
	refused = a.again(idempotent(x.rec.Method))
	a.drop(http2.NoError)
	if x.pump.used {
		// The rest of the body is wanted only as long as the connection is to be used again.
		by := time.Now().Add(grace)
		if err != nil || x.req.Upgrade != nil {
			by = past
		}
		x.pump.haltAt = by
		x.pump.halted.Store(true)
		s.conn.SetReadDeadline(by)
	}
	perr := <-sent
	if x.pump.used {
		s.readBy = past
	}
	if x.pump.used && (perr != nil || !x.body.done) {
		x.req.Close = true
		if err != nil {
			err = blame(err, perr)
		}
	}
	return refused, err
}

// firstBody takes what is here of the request body. Where that is all of it, it can be sent again, and mirrored.
func (s *session) firstBody() ([]byte, error) {
	x := s.x
	first := x.held
	if !x.body.done {
		view, n, err := x.body.raw(&x.in)
		x.rec.BytesIn += int64(n)
		if err != nil {
			x.req.Close = true
			return nil, s.malformed(err)
		}
		if first, err = s.gather(view[:len(view):len(view)]); err != nil {
			return nil, err
		}
	}
	if x.backend == nil || len(x.backend.Mirrors) == 0 || !x.body.done {
		return first, nil
	}
	x.out = http1.AppendRequest(x.out[:0], &x.req)
	if x.body.kind == msg.Chunked {
		x.out = http1.AppendLastChunk(http1.AppendChunk(x.out, first), x.body.chunks.Trailers)
	} else {
		x.out = append(x.out, first...)
	}
	s.startMirrors()
	return first, nil
}

// ask opens a stream to e with the request's head.
func (s *session) ask(e *lb.Endpoint, end bool) (*asked, error) {
	x := s.x
	ctx := s.ctx
	if !x.until.IsZero() {
		limited, cancel := context.WithDeadline(ctx, x.until)
		defer cancel()
		ctx = limited
	}
	for going := 0; ; {
		conn, err := s.srv.opts.Streams.Get(target2(e.Endpoint)), error(nil)
		reused := conn != nil
		if !reused {
			conn, err = s.srv.opts.Streams.Dial(ctx, target2(e.Endpoint))
		}
		if err == nil && x.req.Upgrade != nil {
			err = awaitSettings(ctx, conn)
		}
		if err != nil {
			if !x.until.IsZero() && !time.Now().Before(x.until) {
				return nil, &fail.Error{Kind: x.untilKind, Err: err}
			}
			x.now = time.Now()
			e.Failed(x.now)
			return nil, &fail.Error{Kind: fail.ConnectFailed, Detail: e.Text, Err: err}
		}
		if x.req.Upgrade != nil && !conn.Extended() {
			return nil, &fail.Error{Kind: fail.UpstreamGarbage, Detail: e.Text + " does not take extended CONNECT"}
		}
		e.Worked()
		a := newAsked(conn, reused)
		a.mu.Lock()
		a.id = conn.Open(a, 0, &x.req, end)
		a.mu.Unlock()
		if a.id != 0 {
			return a, nil
		}
		if !conn.Closing() {
			continue // others were faster
		}
		if going++; going > maxAttempts {
			e.Failed(x.now)
			return nil, &fail.Error{Kind: fail.ConnectFailed, Detail: e.Text + " takes no requests"}
		}
	}
}

// sendBody carries the request body to the backend, from data on. It reads from the client while answer2 writes to it.
func (s *session) sendBody(a *asked, data []byte) error {
	x := s.x
	for {
		trailers := x.body.done && len(x.body.chunks.Trailers) > 0
		if !a.send(data, x.body.done && !trailers) {
			return errHalted
		}
		if trailers {
			a.conn.SendTrailers(a.id, x.body.chunks.Trailers)
		}
		if x.body.done {
			return nil
		}
		x.in.rewind()
		x.in.room()
		if s.armRead(time.Now(), stall); x.pump.halted.Load() {
			s.setRead(x.pump.haltAt)
		}
		if err := x.in.fill(s.conn); err != nil {
			a.drop(http2.Cancel)
			if x.pump.halted.Load() {
				return errHalted
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return &fail.Error{Kind: fail.ClientStalled}
			}
			return &fail.Error{Kind: fail.ClientGone, Err: err}
		}
		var n int
		var err error
		if data, n, err = x.body.raw(&x.in); err != nil {
			a.drop(http2.Cancel)
			return s.malformed(err)
		}
		x.rec.BytesIn += int64(n)
	}
}

// answer2 passes the response on.
func (s *session) answer2(a *asked, accept []byte) error {
	x := s.x
	var resp *msg.Response
	for interim := 0; ; interim++ {
		var err error
		if resp, err = s.head2(a); err != nil {
			return err
		}
		if resp.Status >= 200 {
			break
		}
		if interim == maxInterim {
			return &fail.Error{Kind: fail.UpstreamGarbage, Detail: "too many interim responses"}
		}
		x.resp = *resp
		x.resp.Reason = []byte(fail.Reason(resp.Status))
		if err := s.passInterim(); err != nil {
			return err
		}
	}
	if unprocessedBehind(resp, s.c.Direction, x.endpoint) && !x.pump.used {
		x.endpoint.Failed(x.now)
		a.unprocessed()
		return &fail.Error{Kind: fail.ConnectFailed, Detail: x.endpoint.Text + " could not reach its application", Err: errUnprocessed}
	}
	if x.again(resp.Status) {
		a.drop(http2.Cancel)
		return errAgain
	}
	x.stay.change(resp, x.layers, x.endpoint)
	if x.req.Upgrade != nil && resp.Status < 300 {
		return s.tunnel2(a, resp, accept)
	}
	s.frame2(resp)
	x.rec.Code = resp.Status
	x.resp = *resp
	x.out = http1.AppendResponse(x.out[:0], &x.resp, x.req.Minor == 0)
	x.headSent, x.heard = true, true
	return s.relay2(a)
}

// frame2 chooses how HTTP/1.1 delimits the body.
func (s *session) frame2(resp *msg.Response) {
	x := s.x
	resp.Reason = []byte(fail.Reason(resp.Status))
	bodiless := x.isHead || resp.Status == 204 || resp.Status == 304
	switch {
	case bodiless:
	case resp.Body.Kind == msg.Sized && x.req.Minor == 1 && announcesTrailers(resp.Fields):
		resp.Body = msg.Body{Kind: msg.Chunked}
	case resp.Body.Kind == msg.Sized:
	case resp.Body.Kind == msg.NoBody:
		resp.Body = msg.Body{Kind: msg.Sized}
	case x.req.Minor == 0:
		resp.Body.Kind = msg.UntilClose
	}
	if resp.Body.Kind == msg.UntilClose || s.srv.draining.Load() {
		x.req.Close = true
	}
	resp.Close = x.req.Close
}

// announcesTrailers tells that fields will follow the body, for which HTTP/1.1 has room only behind chunks.
func announcesTrailers(fields msg.Fields) bool {
	_, ok := fields.Get("trailer")
	return ok
}

// head2 waits for a response head, and looks meanwhile whether the client is still there and whether the time is up.
func (s *session) head2(a *asked) (*msg.Response, error) {
	x := s.x
	for {
		resp, failure := a.head()
		if failure != nil {
			return nil, failure
		}
		if resp != nil {
			return resp, nil
		}
		if err := s.await2(a, func() bool { return len(a.heads) > 0 }); err != nil {
			return nil, err
		}
		x.now = time.Now()
	}
}

func (s *session) await2(a *asked, something func() bool) error {
	x := s.x
	until := time.Now().Add(look)
	if !x.until.IsZero() && x.until.Before(until) {
		until = x.until
	}
	a.wait(until, something)
	if x.now = time.Now(); !x.until.IsZero() && !x.now.Before(x.until) {
		return &fail.Error{Kind: x.untilKind}
	}
	if !x.pump.used && s.watcher().Gone() {
		return &fail.Error{Kind: fail.ClientGone}
	}
	return nil
}

// relay2 sends the head that is in x.out and the body after it.
func (s *session) relay2(a *asked) error {
	x := s.x
	piece := takeBuffer(largeBuffer)[:0]
	defer func() { giveBuffer(piece) }()
	for {
		out, done, failure := a.take(piece[:0], largeBuffer)
		piece = out
		if failure != nil {
			// Where the head has not left yet, the client can still be told.
			x.headSent = len(x.out) == 0
			return failure
		}
		x.rec.BytesOut += int64(len(piece))
		s.encode(piece)
		if done && x.resp.Body.Kind == msg.Chunked {
			x.out = http1.AppendLastChunk(x.out, a.trailers)
		}
		if len(x.out) > 0 {
			if err := s.write(x.out, time.Now(), x.until); err != nil {
				return s.clientFailed(err)
			}
			x.out = x.out[:0]
		}
		if done {
			return nil
		}
		if len(piece) > 0 {
			continue
		}
		if err := s.await2(a, func() bool { return a.ended || !a.body.empty() }); err != nil {
			return err
		}
	}
}
