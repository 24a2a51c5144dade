package forward

import (
	"errors"
	"os"
	"time"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/sock"
)

// lateReader is a connection that can be waited on without a buffer.
type lateReader interface {
	ReadEach(room func() []byte, got func(n int) bool) error
}

// findLate looks for a socket that is read without any layer between.
func (s *session) findLate() {
	if late, ok := sock.Below(s.conn).(lateReader); ok {
		s.late, s.roomIn, s.gotIn = late, s.lateRoom, s.gotLate
	}
}

// awaitLate waits for a request like awaitRequest, holding nothing. Those that come as a whole are served while it waits.
func (s *session) awaitLate() bool {
	for {
		s.armLate()
		// See awaitHolding for the order.
		if s.srv.draining.Load() {
			return s.pending()
		}
		err := s.late.ReadEach(s.roomIn, s.gotIn)
		for s.rests(err) {
			err = s.late.ReadEach(s.roomIn, s.gotIn)
		}
		switch {
		case err != nil:
			return errors.Is(err, os.ErrDeadlineExceeded) && s.srv.draining.Load() && s.pending()
		case s.over:
			s.lingerAnswered()
			return false
		case s.x != nil:
			return true
		}
	}
}

// rests tells whether a connection goes on resting after an error, because it was only time to look at it, and for how long.
func (s *session) rests(err error) bool {
	until := s.last.Add(s.srv.opts.Idle)
	if !errors.Is(err, os.ErrDeadlineExceeded) || s.srv.draining.Load() || !time.Now().Before(until) {
		return false
	}
	s.setRead(until)
	return true
}

// armLate sets the deadline after which a connection that rests is looked at once, because its end may have come unseen:
// together with the last request.
func (s *session) armLate() { s.armRead(s.last, min(look, s.srv.opts.Idle)) }

// lateRoom is where a request is read to.
func (s *session) lateRoom() []byte {
	if s.x == nil {
		s.x = newExchange()
	}
	return s.x.in.buf[s.x.in.w:]
}

// gotLate serves the request that was read, if it is here as a whole and nothing more will be read from the client until
// it is answered. It returns false when the session has to go on by itself.
func (s *session) gotLate(n int) bool {
	s.x.in.w += n
	if !s.readWhole() {
		return false
	}
	s.resting.Store(false)
	if !s.answerRequest() {
		s.over = true
		return false
	}
	s.rested()
	s.resting.Store(true)
	s.armLate()
	return s.x == nil && !s.srv.draining.Load()
}

// readWhole parses a request whose body is here too. Others stay as they are.
func (s *session) readWhole() bool {
	x := s.x
	data := x.in.data()
	end, err := http1.HeadEnd(data, 0)
	if err != nil || end == 0 {
		return false
	}
	err = http1.ParseRequest(data[:end], &x.req)
	here := x.req.Body.Kind == msg.NoBody || x.req.Body.Kind == msg.Sized && x.req.Body.Length <= int64(len(data)-end)
	if err != nil || !here || x.req.Upgrade != nil || x.connects() {
		x.req.Reset()
		return false
	}
	x.in.consume(end)
	return true
}
