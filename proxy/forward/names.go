package forward

import (
	"context"
	"time"

	"github.com/leno-mesh/leno/proxy/plan"
)

// pending is what to wait for before a cluster that goes by a name has endpoints; nil: nothing.
func (s *Server) pending(c *plan.Cluster) <-chan struct{} {
	if !c.Unresolved() || s.opts.Pending == nil {
		return nil
	}
	return s.opts.Pending(c.Config.DNS.Host)
}

// known is c as it is when the first addresses of its name are here, it is clear that there will be none, or ctx ends.
func (s *Server) known(ctx context.Context, who *Conn, c *plan.Cluster) *plan.Cluster {
	if !c.Unresolved() {
		return c
	}
	if pending := s.pending(c); pending != nil {
		select {
		case <-pending:
		case <-ctx.Done():
		}
	}
	return newest(who, c)
}

// known is the same for as long as the exchange may take.
func (s *session) known(c *plan.Cluster) *plan.Cluster {
	if !c.Unresolved() {
		return c
	}
	ctx := s.ctx
	if !s.x.until.IsZero() {
		limited, cancel := context.WithDeadline(ctx, s.x.until)
		defer cancel()
		ctx = limited
	}
	c = s.srv.known(ctx, s.c, c)
	s.x.now = time.Now()
	return c
}

// startAttempts makes the first attempt, when its cluster is known.
func (x *call) startAttempts() {
	pending := x.srv.pending(x.cluster)
	if pending == nil {
		if x.cluster.Config.DNS != nil {
			x.cluster = newest(x.who, x.cluster)
		}
		x.attempt()
		return
	}
	token, ctx := x.backendToken, x.ctx
	go func() {
		select {
		case <-pending:
		case <-ctx.Done():
		}
		if x.enterBackend(token) {
			x.cluster = newest(x.who, x.cluster)
			x.attempt()
			x.leave()
		}
	}()
}
