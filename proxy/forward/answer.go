package forward

import (
	"errors"
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/layer"
	"github.com/leno-mesh/leno/proxy/layer/redirect"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// noContent is the status of an answer that is its head.
const noContent = 204

var (
	contentType = []byte("content-type")
	plainText   = []byte("text/plain; charset=utf-8")
	location    = []byte("location")
)

// settle answers a failed exchange, if it still can be. The connection can go on where it returns nil.
func (s *session) settle(err error) error {
	x := s.x
	kind := fail.KindOf(err)
	x.rec.Flag = fail.Of(kind).Flag
	switch {
	case x.headSent:
		// Half a response went out. Only a reset tells the client so, whatever the framing.
		reset(s.conn)
		x.headSent = false
		return err
	case fail.Of(kind).Status == 0, s.ctx.Err() != nil: // nobody to answer, or everything is being cut
		return err
	}
	if !x.body.done && x.pump.used {
		x.req.Close = true // the body was cut somewhere
	}
	return s.answerFailure(err)
}

// reset makes closing conn send RST rather than FIN.
func reset(conn net.Conn) {
	for {
		if t, ok := conn.(interface{ SetLinger(int) error }); ok {
			_ = t.SetLinger(0) // fails on a connection that is gone already
			return
		}
		wrapped, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		conn = wrapped.NetConn()
	}
}

// answerFailure answers with what package fail says about err.
func (s *session) answerFailure(err error) error {
	kind, detail := fail.KindOf(err), ""
	var failure *fail.Error
	if errors.As(err, &failure) {
		detail = failure.Detail
	}
	return s.answerText(fail.Of(kind).Status, kind, detail)
}

// answerConfigured answers for a mistake in the route or in one of its backends.
func (s *session) answerConfigured(f *config.Failure) error {
	kind := fail.BadRoute
	if s.x.backend != nil {
		kind = fail.BadBackend
	}
	status := f.Status
	if status == 0 {
		status = fail.Of(kind).Status
	}
	return s.answerText(status, kind, f.Reason)
}

func (s *session) answerText(status int, kind fail.Kind, detail string) error {
	x := s.x
	x.rec.Flag = fail.Of(kind).Flag
	text := fail.AppendText(takeBuffer(smallBuffer)[:0], kind, s.c.Direction, detail)
	x.resp.Reset()
	x.resp.Fields.Add(contentType, plainText)
	if kind == fail.ConnectFailed && s.c.Direction == telemetry.Inbound {
		x.resp.Fields.Add(unprocessedName, []byte("connect"))
	}
	err := s.answer(status, text)
	giveBuffer(text)
	return err
}

// answerRedirect answers with a Location. Layers of the rule change this response as they would a backend's.
func (s *session) answerRedirect(r *redirect.Redirect, layers []layer.Response) error {
	x := s.x
	x.req.Scratch = r.AppendLocation(x.req.Scratch[:0], &x.req, s.c.scheme(), x.dest.Address.Port())
	x.resp.Reset()
	x.resp.Fields.Add(location, x.req.Scratch)
	for _, l := range layers {
		l.Response(&x.resp)
	}
	return s.answer(r.Status, nil)
}

// answer sends a response of the proxy's own, whose fields are in x.resp.
func (s *session) answer(status int, text []byte) error {
	x := s.x
	if s.srv.draining.Load() || !x.body.done && (x.req.Continue || x.body.left > discardLimit) {
		x.req.Close = true
	}
	x.resp.Status, x.resp.Reason = status, []byte(fail.Reason(status))
	x.resp.Body = msg.Body{Kind: msg.Sized, Length: int64(len(text))}
	if status == noContent {
		x.resp.Body = msg.Body{} // no length either (RFC 9110 section 8.6)
	}
	if x.isHead {
		x.resp.Body, x.resp.Announced = msg.Body{}, int64(len(text))
		text = nil
	}
	x.resp.Close = x.req.Close
	x.rec.Code = status
	x.out = http1.AppendResponse(x.out[:0], &x.resp, x.req.Minor == 0)
	x.out = append(x.out, text...)
	x.rec.BytesOut += int64(len(text))
	x.headSent = true
	if err := s.write(x.out, time.Now(), time.Time{}); err != nil {
		x.headSent = false
		return &fail.Error{Kind: fail.ClientGone, Err: err}
	}
	return nil
}
