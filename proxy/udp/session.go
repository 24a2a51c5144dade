package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// burst is how many replies a session moves before it lets go of its buffer.
const burst = 64

var buffers = sync.Pool{New: func() any { b := make([]byte, maxDatagram); return &b }}

// session is one client address with its endpoint. Two goroutines use it: the relay's, which sends, and its own, which
// takes replies and ends it. It holds no buffer while it waits.
type session struct {
	relay    *Relay
	client   netip.AddrPort
	endpoint *lb.Endpoint
	conn     *net.UDPConn // connected: the kernel drops what others send to it
	raw      syscall.RawConn
	start    time.Time

	active             atomic.Int64 // unix nanoseconds of the last datagram
	toServer, toClient atomic.Int64 // bytes
	cause              atomic.Pointer[error]

	// Of the relay's goroutine: write is made once, because a closure per datagram would be an allocation.
	write   func(fd uintptr) bool
	out     []byte
	sendErr error
	// Of its own goroutine.
	read    func(fd uintptr) bool
	readErr error
}

// begin opens the upstream socket. The caller holds the lock, and starts run.
func (r *Relay) begin(client netip.AddrPort, endpoint *lb.Endpoint) (*session, error) {
	conn, err := r.opts.Dial(endpoint.Address)
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s := &session{relay: r, client: client, endpoint: endpoint, conn: conn, raw: raw, start: time.Now()}
	s.active.Store(s.start.UnixNano())
	s.write = func(fd uintptr) bool {
		// One client's full buffer must not hold up the others: what does not go at once is dropped, as a network does.
		s.sendErr = unix.Send(int(fd), s.out, unix.MSG_DONTWAIT)
		return true
	}
	s.read = s.replies
	return s, nil
}

// result is what became of a datagram.
type result uint8

const (
	sent     result = iota
	ended           // the session is over, and the datagram was not sent
	full            // the socket's buffer
	tooLarge        // for the path to the endpoint
)

func (r result) reason() telemetry.Drop {
	if r == tooLarge {
		return telemetry.DropTooLarge
	}
	return telemetry.DropBuffer
}

// send moves one datagram to the endpoint. A connected socket tells here of an ICMP error that an earlier one caused.
func (s *session) send(datagram []byte) result {
	s.active.Store(time.Now().UnixNano())
	s.out = datagram
	err := s.raw.Write(s.write)
	s.out = nil
	if err == nil {
		err = s.sendErr
	}
	switch {
	case err == nil:
		s.toServer.Add(int64(len(datagram)))
		return sent
	case errors.Is(err, unix.EMSGSIZE):
		return tooLarge
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
		return full
	case !errors.Is(err, net.ErrClosed):
		s.endpoint.Failed(time.Now())
	}
	s.end(err)
	s.relay.forget(s)
	return ended
}

// end makes run return; the first cause counts.
func (s *session) end(cause error) {
	s.cause.CompareAndSwap(nil, &cause)
	_ = s.conn.Close()
}

// run takes replies until the session ends, and reports it.
func (s *session) run() {
	err := s.receive()
	s.end(err)
	s.relay.forget(s)
	s.endpoint.Done()
	s.relay.opts.Counters.Sessions(-1)
	s.relay.opts.Ended(Session{
		Client: s.client, Endpoint: s.endpoint, Start: s.start,
		ToServer: s.toServer.Load(), ToClient: s.toClient.Load(), Err: *s.cause.Load(),
	})
}

// receive waits for replies until the socket breaks or nothing has moved for the idle time.
func (s *session) receive() error {
	for {
		idle := time.Duration(s.relay.idle.Load())
		active := time.Unix(0, s.active.Load())
		if time.Since(active) >= idle {
			return ErrIdle
		}
		_ = s.conn.SetReadDeadline(active.Add(idle))
		err := s.raw.Read(s.read)
		for err == nil && s.readErr == nil {
			err = s.raw.Read(s.read)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return err
		default:
			s.endpoint.Failed(time.Now())
			return s.readErr
		}
	}
}

// replies moves the datagrams that are there to the client. False: there is none, wait.
func (s *session) replies(fd uintptr) bool {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	for i := range burst {
		n, err := unix.Read(int(fd), *buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return i > 0
		case err != nil:
			s.readErr = os.NewSyscallError("read", err)
			return true
		}
		s.active.Store(time.Now().UnixNano())
		if _, err := s.relay.socket.WriteToUDPAddrPort((*buffer)[:n], s.client); err != nil {
			// The client's own network is in the way. The conversation may go on: a later reply may get through.
			s.relay.opts.Counters.Dropped(telemetry.DropReply)
			continue
		}
		s.toClient.Add(int64(n))
		s.relay.opts.Counters.ToClient(n)
	}
	return true
}
