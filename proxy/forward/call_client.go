package forward

import (
	"context"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/mux"
)

// accept takes a request of a client and sends it on its way.
func (ses *streams) accept(conn *mux.Conn, ev *http2.Event) {
	x := calls.Get().(*call)
	x.mu.Lock()
	defer x.leave()
	x.srv, x.ctx, x.conn, x.who, x.peer, x.id = ses.srv, ses.ctx, conn, ses.c, ses.peer, ev.Stream
	busy := x.srv.inFlight.Add(1) > x.srv.opts.MaxInFlight
	x.take(ev.Request)
	x.whole = ev.End
	x.begin(ses.c.Resolve())
	if !conn.Own(ev.Stream, (*fromClient)(x), x.token) {
		x.rec.Flag = fail.Of(fail.ClientGone).Flag
		x.over = true
		return
	}
	switch {
	case ev.Status != 0:
		x.fail(&fail.Error{Kind: fail.FromStatus(ev.Status), Detail: ev.Reason})
	case busy:
		x.fail(&fail.Error{Kind: fail.Overload})
	case x.tooLarge(ev.Request.Body.Length):
		x.fail(&fail.Error{Kind: fail.BodyTooLarge, Detail: x.bodyLimit()})
	default:
		x.route()
	}
}

// tooLarge tells that a body of n octets is more than its destination takes (RFC 9110 section 15.5.14).
func (x *call) tooLarge(n int64) bool { return x.dest.MaxRequestBody > 0 && n > x.dest.MaxRequestBody }

func (x *call) bodyLimit() string {
	return "more than the limit of " + strconv.FormatInt(x.dest.MaxRequestBody, 10) + " bytes"
}

// route asks who is to be asked first, decides where the request goes and sends it there.
func (x *call) route() {
	x.who.Edge.mark(&x.req)
	if x.dest.Routes != nil {
		if filters := x.dest.Routes.Filters(&x.req); len(filters) > 0 {
			x.until, x.untilKind = x.deadline, x.lateKind
			x.arm()
			x.replay, x.tee = true, true // nobody knows yet what it will be kept for
			x.filter(filters)
			return
		}
	}
	x.choose()
}

// choose decides where the request goes and sends it there.
func (x *call) choose() {
	to, err := x.decide()
	if x.rule = to.rule; x.rule != nil {
		x.rec.Origin = x.rule.Action.Origin
		x.limit(x.rule.Action.Timeout, fail.RequestTimeout)
	}
	x.until, x.untilKind = x.deadline, x.lateKind
	x.arm()
	if err != nil {
		x.who.refused(err, &x.req)
		x.fail(err)
		return
	}
	x.backend, x.layers, x.stay = to.backend, within(x.layers, to.response), to.stay
	if to.preflight != nil {
		x.resp.Reset()
		to.preflight.Preflight(&x.resp)
		x.answer(noContent, nil)
		return
	}
	if to.fail == nil && to.redirect == nil {
		x.cluster = to.cluster
		// What has come since filters were asked is there as a whole, or not at all.
		if x.replay, x.tee = int64(len(x.sent)) == x.rec.BytesIn, false; x.replay {
			x.drawMirrors()
		}
	}
	if x.rule != nil && x.rule.ExternalAuth != nil {
		x.authorizeRule(to)
		return
	}
	x.carryOut(to)
}

// carryOut does what was decided about a request that may pass.
func (x *call) carryOut(to decision) {
	switch {
	case to.fail != nil:
		x.answerConfigured(to.fail)
		return
	case to.redirect != nil:
		x.answerRedirect(to.redirect, x.layers)
		return
	}
	if x.backend != nil {
		for _, l := range x.backend.Request {
			l.Request(&x.req)
		}
	}
	if x.cluster == nil {
		x.fail(&fail.Error{Kind: fail.NoEndpoints, Detail: "the destination is not known yet"})
		return
	}
	if x.cluster.Budget != nil {
		x.cluster.Budget.Request(x.rec.Start)
	}
	if x.whole {
		x.sendMirrors()
	}
	x.startAttempts()
}

// decide finds out where the request goes. CONNECT goes nowhere: tunnels over HTTP/2 are extended CONNECT, which has the method of an
// upgrade.
func (x *call) decide() (decision, error) {
	if string(x.req.Method) == "CONNECT" {
		return decision{}, &fail.Error{Kind: fail.Connect}
	}
	return decide(x.dest, &x.req, false, x.srv.opts.Random)
}

// limit shortens the time of the whole exchange.
func (x *call) limit(d time.Duration, kind fail.Kind) {
	if d <= 0 {
		return
	}
	if t := x.rec.Start.Add(d); x.deadline.IsZero() || t.Before(x.deadline) {
		x.deadline, x.lateKind = t, kind
	}
}

// arm starts the clock for until.
func (x *call) arm() {
	if x.until.IsZero() {
		return
	}
	left := time.Until(x.until)
	if x.timer == nil {
		x.timer = time.AfterFunc(left, x.expire)
		return
	}
	x.timer.Reset(left)
}

// expire runs by the timer. One that was set for an earlier exchange finds nothing due.
func (x *call) expire() {
	x.mu.Lock()
	defer x.leave()
	if x.srv == nil || x.until.IsZero() {
		return
	}
	if time.Now().Before(x.until) {
		x.arm()
		return
	}
	x.retry(&fail.Error{Kind: x.untilKind}, false)
}

// Response is never called: clients do not respond.
func (f *fromClient) Response(uint32, *msg.Response, bool) {}

// Data carries a part of the request body on.
func (f *fromClient) Data(token uint32, p []byte, end bool) {
	x := (*call)(f)
	if !x.enter(token) {
		return
	}
	defer x.leave()
	x.rec.BytesIn += int64(len(p))
	x.whole = end
	x.keepBody(p)
	if x.ending && !x.tunnel || x.headSent && x.up == nil && x.plain == nil {
		x.consume(len(p)) // answered already: nobody wants it
		return
	}
	if x.tooLarge(x.rec.BytesIn) {
		x.fail(&fail.Error{Kind: fail.BodyTooLarge, Detail: x.bodyLimit()})
		return
	}
	if end && x.asking == nil {
		x.sendMirrors()
	}
	if x.up == nil || !x.toBackend.empty() {
		x.toBackend.add(p)
		switch {
		case x.plain != nil:
			x.plain.wake()
		case x.asking != nil:
			x.hold(len(p))
		}
		return
	}
	n := x.up.Send(x.upID, p, end)
	x.consume(n)
	if n < len(p) {
		x.toBackend.add(p[n:])
	}
	x.endTunnel()
}

// Trailers end the request.
func (f *fromClient) Trailers(token uint32, fields msg.Fields) {
	x := (*call)(f)
	if !x.enter(token) {
		return
	}
	defer x.leave()
	x.whole = true
	x.trailers = keepFields(x.trailers, fields)
	if x.asking != nil {
		x.hold(0)
		return
	}
	x.sendMirrors()
	switch {
	case x.up != nil:
		x.push()
	case x.plain != nil:
		x.plain.wake()
	}
}

// Reset: the client is not interested any more, or is gone.
func (f *fromClient) Reset(token uint32, _ http2.Code, _ bool) {
	x := (*call)(f)
	if !x.enter(token) {
		return
	}
	defer x.leave()
	if !x.heardAll { // after the backend's end, this is one way to say the same
		x.rec.Flag = fail.Of(fail.ClientGone).Flag
	}
	x.drop(http2.Cancel)
	x.over = true
}

// Writable: the client takes more of the response.
func (f *fromClient) Writable(token uint32) {
	x := (*call)(f)
	if !x.enter(token) {
		return
	}
	defer x.leave()
	x.flush()
}

// keepBody keeps what is needed to send the body again, or to mirror it.
func (x *call) keepBody(p []byte) {
	bound := maxReplay
	if x.tee {
		bound = maxMirror
	}
	if !x.replay && !x.tee {
		return
	}
	if len(x.sent)+len(p) > bound {
		x.replay, x.tee = false, false
		x.mirrors = x.mirrors[:0]
		return
	}
	x.sent = append(x.sent, p...)
}

// detached is the context of what goes on when the client's connection has ended.
func (x *call) detached() context.Context { return context.WithoutCancel(x.ctx) }
