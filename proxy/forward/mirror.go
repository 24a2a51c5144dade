package forward

import (
	"context"
	"io"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
)

// Bounds of mirroring: copies must never cost the real requests anything but a little memory.
const (
	// maxMirror is the largest request that is mirrored. A larger one is not copied at all, rather than in part.
	maxMirror = 256 << 10
	// maxMirrors bounds copies under way in one proxy; more are dropped.
	maxMirrors = 256
	// mirrorTime is how long a copy may take.
	mirrorTime = 30 * time.Second
)

// startMirrors copies the request to the mirrors that the sample draws: at once if it is here as a whole, else when
// its body has passed by. The copy is what the backend gets.
func (s *session) startMirrors() {
	x := s.x
	x.mirrors = x.mirrors[:0]
	if x.req.Upgrade != nil {
		return
	}
	for i := range x.backend.Mirrors {
		m := &x.backend.Mirrors[i]
		if !m.Sampled(s.srv.opts.Random()) {
			continue
		}
		if c := x.dest.Lookup(m.Cluster); c != nil {
			x.mirrors = append(x.mirrors, c)
		}
	}
	if len(x.mirrors) == 0 {
		return
	}
	request := append([]byte(nil), x.out...)
	if x.body.done {
		s.sendMirrors(request)
	} else {
		x.pump.tee = request
	}
}

// sendMirrors sends a whole request to the mirrors that were drawn.
func (s *session) sendMirrors(request []byte) {
	for _, c := range s.x.mirrors {
		if s.srv.mirrors.Add(1) > maxMirrors {
			s.srv.mirrors.Add(-1)
			continue
		}
		go s.srv.mirror(context.WithoutCancel(s.ctx), c, request, s.x.isHead)
	}
	s.x.mirrors = s.x.mirrors[:0]
}

// mirror sends one copy and throws the answer away. It ends after mirrorTime at the latest.
func (s *Server) mirror(ctx context.Context, c *plan.Cluster, request []byte, isHead bool) {
	defer s.mirrors.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, mirrorTime)
	defer cancel()
	now := time.Now()
	e := c.Balancer.Pick(now, nil)
	if e == nil {
		return
	}
	defer e.Done()
	conn, err := s.opts.Pool.Get(ctx, target(e.Endpoint), now, false)
	if err != nil {
		e.Failed(now)
		return
	}
	conn.ReadBy, conn.WriteBy = now.Add(mirrorTime), now.Add(mirrorTime)
	conn.SetDeadline(conn.ReadBy)
	if _, err := conn.Write(request); err == nil && discardResponse(conn, isHead) {
		s.opts.Pool.Put(conn, time.Now())
		return
	}
	conn.Close()
}

func target(e config.Endpoint) pool.Target {
	t := pool.Target{Address: e.Address, Identity: e.Identity, TLS: e.TLS}
	switch {
	case e.TLS != nil:
		t.ALPN = "http/1.1"
	case e.Identity != "":
		t.ALPN = ALPN
	}
	return t
}

// discardResponse reads over a response. It tells whether the connection can be used again.
func discardResponse(conn io.Reader, isHead bool) bool {
	var b reader
	b.swap(largeBuffer)
	defer func() { giveBuffer(b.buf) }()
	var resp msg.Response
	for resp.Status < 200 {
		end, err := http1.HeadEnd(b.data(), 0)
		if err != nil {
			return false
		}
		if end == 0 {
			if !b.room() || b.fill(conn) != nil {
				return false
			}
			continue
		}
		resp.Reset()
		err = http1.ParseResponse(b.data()[:end], isHead, &resp)
		b.consume(end)
		if err != nil || resp.Status == 101 {
			return false
		}
	}
	if resp.Close {
		return false // the rest is of no interest to anybody
	}
	var rest body
	rest.expect(resp.Body)
	for !rest.done {
		if _, _, err := rest.take(&b, nil, true); err != nil {
			return false
		}
		if b.rewind(); !rest.done && (!b.room() || b.fill(conn) != nil) {
			return false
		}
	}
	return b.empty()
}
