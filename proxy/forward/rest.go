package forward

import (
	"errors"
	"os"
	"time"

	"github.com/leno-mesh/leno/proxy/sock"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// rested follows each request.
func (s *session) rested() {
	if !s.served {
		s.served = true
		s.findLate()
	}
	x := s.x
	x.reset()
	if !x.in.empty() {
		return
	}
	x.in.rewind()
	if s.late != nil || !x.in.small() || !x.up.small() || cap(x.out) > smallBuffer {
		s.release() // a big message must not hold its buffers while the connection rests
	}
}

// release gives everything back that a resting connection does not need.
func (s *session) release() {
	if s.x != nil && s.x.in.empty() {
		s.x.free()
		s.x = nil
	}
}

// awaitRequest waits for the first byte of a request. False: there will be none.
func (s *session) awaitRequest() (came bool) {
	if s.x != nil && !s.x.in.empty() {
		return true // pipelined
	}
	s.resting.Store(true)
	if s.late != nil {
		came = s.awaitLate()
	} else if came = s.awaitHolding(); !came && s.x == nil {
		came = s.rest()
	}
	s.resting.Store(false)
	return came
}

// awaitHolding waits with buffers for a while. Those are gone when it is to be waited on without.
func (s *session) awaitHolding() bool {
	if s.x == nil {
		s.x = newExchange()
	}
	s.armRead(s.last, hold)
	// Drain sets draining first and wakes resting connections then: whichever came first, one of both is seen.
	if s.served && s.srv.draining.Load() {
		return s.pending()
	}
	for {
		err := s.x.in.fill(s.conn)
		if err == nil {
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if s.srv.draining.Load() {
			return s.pending()
		}
		if !time.Now().Before(s.readBy) {
			s.release()
			return false
		}
		s.setRead(s.readBy)
	}
}

// rest waits without buffers.
func (s *session) rest() bool {
	until := time.Now().Add(s.srv.opts.Idle)
	s.setRead(until)
	for {
		n, err := sock.ReadResting(s.conn, s.one[:])
		if n == 1 {
			s.x = newExchange()
			s.x.in.buf[0], s.x.in.w = s.one[0], 1
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until) || s.srv.draining.Load() {
			return s.srv.draining.Load() && s.pending()
		}
		s.setRead(until)
	}
}

// pending tells, in a drain, whether a request has already arrived; it is served then rather than lost.
func (s *session) pending() bool {
	if s.watcher().Quiet() {
		if s.peered() {
			s.sendNotice()
		}
		return false
	}
	if s.x == nil {
		s.x = newExchange()
	}
	s.setRead(time.Now().Add(s.srv.opts.Header))
	return s.x.in.fill(s.conn) == nil
}

// notice ends a connection that another sidecar keeps for later. Should a request cross it on its way, then the sender
// reads in it that the request was not processed, and takes it elsewhere. HTTP/2 has GOAWAY for that.
var notice = []byte("HTTP/1.1 503 Service Unavailable\r\n" + unprocessed + ": drain\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

// peered tells whether the client is another sidecar.
func (s *session) peered() bool { return s.c.MTLS && s.c.Direction == telemetry.Inbound }

func (s *session) sendNotice() {
	if s.write(notice, time.Now(), time.Time{}) == nil {
		s.linger() // nothing of what still comes is read by anybody; a reset would destroy the notice
	}
}
