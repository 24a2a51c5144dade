package forward

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/layer/externalauth"
	"github.com/leno-mesh/leno/proxy/msg"
)

// filter asks the authorization servers of the listener one after the other, until one refuses.
func (s *session) filter(filters []*externalauth.Policy) (answered bool, err error) {
	for _, p := range filters {
		if answered, err = s.authorize(p); answered || err != nil {
			return answered, err
		}
		s.x.early = len(s.x.layers)
	}
	return false, nil
}

// authorize asks an authorization server of the listener or of the request's rule. answered: the server refused, and the client has
// read so.
func (s *session) authorize(p *externalauth.Policy) (answered bool, err error) {
	x := s.x
	body, err := s.told(int64(p.Config.MaxBody))
	if err != nil {
		return false, err
	}
	question := p.Ask(&externalauth.Request{
		Head: &x.req, Body: body, Scheme: s.c.scheme(), Protocol: x.rec.Protocol,
		Source: remote(s.conn), Destination: x.dest.Address, Time: x.start,
	})
	ctx := s.ctx
	if !x.until.IsZero() {
		limited, cancel := context.WithDeadline(ctx, x.until)
		defer cancel()
		ctx = limited
	}
	v, err := s.srv.authorize(ctx, s.c, x.dest, p, question)
	x.now = time.Now()
	switch {
	case err != nil && !x.until.IsZero() && !x.now.Before(x.until):
		return false, &fail.Error{Kind: x.untilKind, Err: err}
	case err != nil:
		return false, err
	case !v.Allowed:
		return true, s.answerRefusal(v)
	}
	v.Request(&x.req)
	x.layers = allow(v, x.layers, x.early)
	return false, nil
}

// answerRefusal answers as the authorization server has. Layers of the rule change this response as they would a backend's.
func (s *session) answerRefusal(v *externalauth.Verdict) error {
	x := s.x
	if len(v.Fields) == 0 && len(v.Body) == 0 {
		return s.answerText(v.Status, fail.AuthDenied, "")
	}
	x.rec.Flag = fail.Of(fail.AuthDenied).Flag
	x.resp.Reset()
	x.resp.Fields = append(x.resp.Fields, v.Fields...)
	for _, l := range x.layers {
		l.Response(&x.resp)
	}
	return s.answer(v.Status, v.Body)
}

// told is the request body as an authorization server is told it, of which there may be most octets: nothing where that is 0.
func (s *session) told(most int64) ([]byte, error) {
	x := s.x
	switch {
	case most == 0:
		return nil, nil
	case !x.body.done:
		if err := s.hold(most); err != nil {
			return nil, err
		}
	case int64(len(x.held)) > most: // another server was told it
		return nil, tooLong(most)
	}
	return x.held, nil
}

func tooLong(most int64) error {
	return &fail.Error{Kind: fail.BodyTooLarge, Detail: "more than the " + strconv.FormatInt(most, 10) + " bytes that the authorization server is told"}
}

// hold reads all of the request body, of which there may be most octets, so that the authorization server can be told it.
func (s *session) hold(most int64) error {
	x := s.x
	if x.body.kind == msg.Sized && x.body.left > most {
		return s.unreadError(tooLong(most))
	}
	detach(&x.req) // the buffer that the head is in is read into
	if x.req.Continue {
		// The body is wanted here, whatever the backend will say.
		x.req.Continue = false
		if err := s.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"), x.now, x.until); err != nil {
			return s.clientFailed(err)
		}
	}
	for {
		view, n, err := x.body.raw(&x.in)
		x.rec.BytesIn += int64(n)
		if err != nil {
			return s.unreadError(s.malformed(err))
		}
		if int64(len(x.held)+n) > most {
			return s.unreadError(tooLong(most))
		}
		if x.held = append(x.held, view...); x.body.done {
			return nil
		}
		if err := s.readMore(); err != nil {
			return s.unreadError(err)
		}
	}
}

// unreadError ends an exchange whose request did not come as a whole.
func (s *session) unreadError(err error) error {
	s.x.req.Close = true
	return err
}

// readMore reads more of a request body into a buffer that nobody looks into.
func (s *session) readMore() error {
	x := s.x
	x.in.rewind()
	x.in.room()
	short := s.armBody()
	if err := x.in.fill(s.conn); err != nil {
		return s.bodyFailed(err, short)
	}
	return nil
}

// armBody sets how long a read of the request body may take: until the client has stalled, or, which it returns, until the time of
// the exchange is up.
func (s *session) armBody() (short bool) {
	now, until := time.Now(), s.x.until
	if short = !until.IsZero() && until.Before(now.Add(stall)); short {
		s.setRead(until)
	} else {
		s.armRead(now, stall)
	}
	return short
}

// bodyFailed is what a failed read of the request body means.
func (s *session) bodyFailed(err error, short bool) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && short:
		return &fail.Error{Kind: s.x.untilKind}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &fail.Error{Kind: fail.ClientStalled}
	}
	return &fail.Error{Kind: fail.ClientGone, Err: err}
}

// appendHeld appends the body that was held, as the backend gets it.
func (x *exchange) appendHeld(out []byte) []byte {
	if x.body.kind != msg.Chunked {
		return append(out, x.held...)
	}
	return http1.AppendLastChunk(http1.AppendChunk(out, x.held), x.body.chunks.Trailers)
}

// detach makes a request independent of the buffer that it was read into.
func detach(r *msg.Request) {
	r.Method, r.Authority, r.Path = bytes.Clone(r.Method), bytes.Clone(r.Authority), bytes.Clone(r.Path)
	r.Query, r.Upgrade, r.Fields = bytes.Clone(r.Query), bytes.Clone(r.Upgrade), keepFields(nil, r.Fields)
}
