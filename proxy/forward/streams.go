package forward

import (
	"context"
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// streams is one downstream connection of HTTP/2.
type streams struct {
	srv  *Server
	ctx  context.Context
	c    *Conn
	peer string
	conn *mux.Conn
}

// ServeHTTP2 serves an HTTP/2 connection until it ends, and closes it. When ctx ends, the connection is cut at once.
func (s *Server) ServeHTTP2(ctx context.Context, conn net.Conn, c *Conn) {
	ses := s.open(ctx, conn, c)
	stop := context.AfterFunc(ctx, ses.conn.Close)

	ses.conn.Serve()

	stop()
	s.mu.Lock()
	delete(s.streams, ses)
	s.mu.Unlock()
}

// open makes a connection one of the server's.
func (s *Server) open(ctx context.Context, conn net.Conn, c *Conn) *streams {
	ses := &streams{srv: s, ctx: ctx, c: c}
	if c.Direction == telemetry.Inbound {
		ses.peer = conn.RemoteAddr().String()
	}
	ses.conn = mux.Server(conn, mux.Options{
		Accept: ses.accept, Idle: s.opts.Idle,
		Ended:   func(_ *mux.Conn, why error) { s.flooded(c.Direction, mux.Flood(why), 1) },
		Stalled: func(n int) { s.flooded(c.Direction, "stalled_stream", n) },
	})
	s.mu.Lock()
	s.streams[ses] = struct{}{}
	draining := s.draining.Load()
	s.mu.Unlock()
	if draining {
		// Not at once: a client that knows no other place would come back as often as it can.
		time.AfterFunc(settle, ses.conn.Announce)
		time.AfterFunc(2*settle, ses.conn.Shutdown)
	}
	return ses
}

// flooded counts what a defence ended: connections, or streams that were stalled.
func (s *Server) flooded(d telemetry.Direction, flood string, n int) {
	for ; flood != "" && s.opts.Flood != nil && n > 0; n-- {
		s.opts.Flood(d, flood)
	}
}

// drainStreams tells clients that their connections will end, and a little later, when what they sent before they knew is here,
// that they have ended for new requests (RFC 9113 section 6.8).
func (s *Server) drainStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ses := range s.streams {
		ses.conn.Announce()
	}
	time.AfterFunc(settle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for ses := range s.streams {
			ses.conn.Shutdown()
		}
	})
}

// unprocessedBehind looks for the mark of a receiving sidecar that has not given the request to its application, and takes it out.
// Only a peer that proved its identity is believed, and only on the sending side.
func unprocessedBehind(r *msg.Response, d telemetry.Direction, e *lb.Endpoint) bool {
	if _, marked := r.Fields.Get(unprocessed); !marked {
		return false
	}
	r.Fields.Remove(unprocessed)
	return d != telemetry.Inbound && e != nil && e.Identity != ""
}
