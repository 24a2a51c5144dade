package forward

import (
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

// known is c as it is when the first addresses of its name are here, or it is clear that there will be none.
func (s *session) known(c *plan.Cluster) *plan.Cluster {
	if !c.Unresolved() {
		return c
	}
	if pending := s.srv.pending(c); pending != nil {
		var late <-chan time.Time
		if until := s.x.until; !until.IsZero() {
			timer := time.NewTimer(time.Until(until))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-pending:
		case <-late:
		case <-s.ctx.Done():
		}
		s.x.now = time.Now()
	}
	return newest(s.c, c)
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
