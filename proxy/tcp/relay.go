// Package tcp relays bytes between two connections: each direction ends by itself, an idle connection holds no buffer,
// bulk between plain sockets moves in the kernel.
package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Idle is the default time without a byte in either direction after which a relay ends.
const Idle = time.Hour

// ErrIdle says that a relay was ended because nothing moved.
var ErrIdle = errors.New("idle timeout")

// Relay joins two connections.
type Relay struct {
	// Idle is the longest time without a byte in either direction.
	Idle time.Duration

	active             atomic.Int64          // unix nanoseconds of the last byte
	toServer, toClient atomic.Int64          // bytes
	cause              atomic.Pointer[error] // what broke first
}

// Result is what a finished relay did.
type Result struct {
	ToServer int64 // bytes
	ToClient int64
	// Err is nil when both sides ended their direction.
	Err error
}

// New returns a relay with an idle timeout; 0: the default.
func New(idle time.Duration) *Relay {
	if idle == 0 {
		idle = Idle
	}
	return &Relay{Idle: idle}
}

// Run moves bytes until both directions ended, one of them broke, nothing moved for the idle time, or ctx ended. It
// closes both connections; when something broke, so that the peers see a reset too.
func (r *Relay) Run(ctx context.Context, client, server net.Conn) Result {
	r.touch()
	stop := context.AfterFunc(ctx, func() { Abort(client, server) })
	var wg sync.WaitGroup
	wg.Go(func() { r.direction(client, server, &r.toClient) })
	r.direction(server, client, &r.toServer)
	wg.Wait() // a direction that fails aborts both connections, so the other one ends too
	stop()
	_, _ = client.Close(), server.Close()
	result := Result{ToServer: r.toServer.Load(), ToClient: r.toClient.Load(), Err: ctx.Err()}
	if cause := r.cause.Load(); cause != nil && result.Err == nil {
		result.Err = *cause
	}
	return result
}

// direction moves bytes from src to dst until src ends, and then ends dst's direction. What prepares and ends it is not on the
// stack while it rests.
func (r *Relay) direction(dst, src net.Conn, count *atomic.Int64) {
	out, in, err := r.prepare(dst, src, count)
	switch {
	case err != nil:
	case in != nil:
		err = r.copyPlain(out, in, count)
	default:
		err = r.copyOpaque(out, src, count)
	}
	r.finish(dst, src, err)
}

// finish follows the last byte of a direction; err is io.EOF at its proper end.
func (r *Relay) finish(dst, src net.Conn, err error) {
	if errors.Is(err, io.EOF) {
		err = closeWrite(dst)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENOTCONN) || errors.Is(err, io.ErrClosedPipe) {
			err = nil // its peer is gone already, and has said why to the other direction
		}
	}
	if err != nil {
		r.cause.CompareAndSwap(nil, &err)
		Abort(dst, src)
	}
}

// touch notes that a byte moved.
func (r *Relay) touch() { r.active.Store(time.Now().UnixNano()) }

// expired tells whether nothing moved for the idle time.
func (r *Relay) expired() bool {
	return time.Now().UnixNano()-r.active.Load() >= int64(r.Idle)
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// Abort closes at once. A plain socket sends a reset, so that the peer does not take it for a proper end.
func Abort(conns ...net.Conn) {
	for _, c := range conns {
		if tcp, ok := plain(c); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// plain finds the TCP socket of a connection that carries nothing but itself. Wrappers that were looked into have Take
// for the bytes that were read ahead; TLS has not.
func plain(c net.Conn) (*net.TCPConn, bool) {
	for {
		switch v := c.(type) {
		case *net.TCPConn:
			return v, true
		case interface{ TCP() *net.TCPConn }:
			return v.TCP(), true
		case interface {
			Take() []byte
			NetConn() net.Conn
		}:
			c = v.NetConn()
		default:
			return nil, false
		}
	}
}

// ahead takes the bytes that were read ahead out of the wrappers, outermost first.
func ahead(c net.Conn) []byte {
	var bytes []byte
	for {
		v, ok := c.(interface {
			Take() []byte
			NetConn() net.Conn
		})
		if !ok {
			return bytes
		}
		bytes = append(bytes, v.Take()...)
		c = v.NetConn()
	}
}
