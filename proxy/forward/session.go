package forward

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/sock"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// session is one downstream connection. All fields but the guarded ones belong to its goroutine; a body pump borrows
// the reading side while it runs.
type session struct {
	srv  *Server
	conn net.Conn
	c    *Conn
	ctx  context.Context

	x       *exchange // nil while the connection rests without buffers
	watch   *pool.Watch
	peer    string
	readBy  time.Time // read deadline in force
	writeBy time.Time
	one     [1]byte
	last    time.Time // when the last exchange ended, or serving began
	served  bool      // at least one request
	bulk    bool      // the last response was large

	late   lateReader    // the connection, where it can be waited on without a buffer
	roomIn func() []byte // made once, for late, like gotIn
	gotIn  func(n int) bool
	over   bool // a request that was served while waiting was the last

	resting atomic.Bool // waiting for a request; Drain may wake it

	up      atomic.Pointer[pool.Conn] // upstream connection in use
	aborted atomic.Bool
}

// serve handles one request after the other.
func (s *session) serve() {
	s.last = time.Now()
	for {
		ok := s.awaitRequest() && s.readHead() && s.exchange()
		if !ok {
			break
		}
		s.rested()
	}
	if s.x != nil {
		s.x.reset()
		s.x.free()
		s.x = nil
	}
}

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
	resting, _ := sock.Below(s.conn).(restingReader)
	for {
		var n int
		var err error
		if resting != nil {
			n, err = resting.ReadResting(s.one[:])
		} else {
			n, err = s.conn.Read(s.one[:])
		}
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

// readHead reads and parses a request head. False: the connection ends here, answered if there was somebody to answer.
func (s *session) readHead() bool {
	x := s.x
	scanned := 0
	for {
		end, err := http1.HeadEnd(x.in.data(), scanned)
		if err == nil && end > 0 {
			head := x.in.data()[:end]
			x.in.consume(end)
			err = http1.ParseRequest(head, &x.req)
		}
		if err != nil {
			s.begin(nil)
			s.refuse(err)
			return false
		}
		if end > 0 {
			return true
		}
		if scanned == 0 {
			s.setRead(time.Now().Add(s.srv.opts.Header))
		}
		scanned = len(x.in.data())
		if !x.in.room() {
			s.begin(nil)
			s.refuse(http1.ErrHeadTooLarge)
			return false
		}
		if !s.more() {
			return false
		}
	}
}

// more reads more of a head, and answers where it takes too long.
func (s *session) more() bool {
	for {
		err := s.x.in.fill(s.conn)
		if err == nil {
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if !time.Now().Before(s.readBy) {
			s.begin(nil)
			s.giveUp(&fail.Error{Kind: fail.HeaderTimeout})
			return false
		}
		s.setRead(s.readBy) // woken by a drain that came too late
	}
}

// refuse answers a malformed request. Where it ends is unknown, so the connection cannot go on.
func (s *session) refuse(err error) {
	var wrong *http1.Error
	if !errors.As(err, &wrong) {
		s.giveUp(&fail.Error{Kind: fail.BadRequest, Err: err})
		return
	}
	s.giveUp(&fail.Error{Kind: fail.FromStatus(wrong.Status), Detail: wrong.Reason})
}

// giveUp answers a failure and ends the connection.
func (s *session) giveUp(err error) {
	s.x.req.Close = true
	_ = s.answerFailure(err) // the connection ends either way
	s.finish()
	s.linger()
}

// armRead makes sure that the read deadline is between half of d and d away. Most requests need not touch it.
func (s *session) armRead(now time.Time, d time.Duration) {
	if left := s.readBy.Sub(now); left < d/2 || left > d {
		s.setRead(now.Add(d))
	}
}

func (s *session) setRead(t time.Time) {
	s.readBy = t
	s.conn.SetReadDeadline(t)
}

// write sends b to the client; until is a limit in addition to that for stalling, zero for none.
func (s *session) write(b []byte, now, until time.Time) error {
	s.armWrite(now, until)
	_, err := s.conn.Write(b)
	return err
}

// armWrite sets the write deadline for write.
func (s *session) armWrite(now, until time.Time) {
	switch {
	case !until.IsZero() && until.Before(now.Add(stall)):
		s.writeBy = until
		s.conn.SetWriteDeadline(until)
	case s.writeBy.Sub(now) < stall/2:
		s.writeBy = now.Add(stall)
		s.conn.SetWriteDeadline(s.writeBy)
	}
}

func (s *session) watcher() *pool.Watch {
	if s.watch == nil {
		s.watch = pool.NewWatch(s.conn)
	}
	return s.watch
}

// linger reads a little more from a client that may still be sending, so that it gets to read its answer.
func (s *session) linger() {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	s.conn.SetReadDeadline(time.Now().Add(lingerTime))
	buf := takeBuffer(smallBuffer)
	defer giveBuffer(buf)
	for left := lingerBytes; left > 0; {
		n, err := s.conn.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}

// abort cuts everything; it runs when the server's context ends. Closing the client's socket may have to wait until a
// request that is served inside of a read gives up, so the backend's is closed first.
func (s *session) abort() {
	s.aborted.Store(true)
	if up := s.up.Swap(nil); up != nil {
		up.Close()
	}
	s.conn.Close()
}

// holdUp notes the upstream connection in use, so that abort finds it: whichever of both comes last sees the other.
func (s *session) holdUp(c *pool.Conn) {
	s.up.Store(c)
	if s.aborted.Load() {
		c.Close()
	}
}

// letUp takes the note back; false when abort has the connection, and closes it.
func (s *session) letUp(c *pool.Conn) bool { return s.up.CompareAndSwap(c, nil) }
