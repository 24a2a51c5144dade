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
