package forward

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// ALPN2 is what two sidecars agree on before they speak HTTP/2 to each other over mutual TLS.
const ALPN2 = "leno-h2"

// target2 is where HTTP/2 to an endpoint goes.
func target2(e config.Endpoint) pool.Target {
	t := pool.Target{Address: e.Address, Identity: e.Identity, TLS: e.TLS}
	switch {
	case e.TLS != nil:
		t.ALPN = "h2"
	case e.Identity != "":
		t.ALPN = ALPN2
	}
	return t
}

// attempt sends the request to an endpoint: at once where a connection is there, else when it is.
func (x *call) attempt() {
	x.attempts++
	e := x.stay.pick(x.cluster, time.Now(), x.last)
	if e == nil {
		x.fail(&fail.Error{Kind: fail.NoEndpoints, Detail: x.cluster.Config.Name})
		return
	}
	x.noteEndpoint(e)
	x.heard = false
	x.until, x.untilKind = x.deadline, x.lateKind
	if x.rule != nil && x.rule.Action.BackendTimeout > 0 {
		if t := time.Now().Add(x.rule.Action.BackendTimeout); x.until.IsZero() || t.Before(x.until) {
			x.until, x.untilKind = t, fail.BackendTimeout
		}
	}
	x.arm()
	// gRPC is HTTP/2 whatever is declared, and by that name to backends with TLS of their own.
	if x.cluster.Config.HTTP == config.HTTP1Only && !x.isCall {
		x.attemptPlain(e)
		return
	}
	if conn := x.srv.opts.Streams.Get(target2(e.Endpoint)); conn != nil && x.req.Upgrade == nil && x.open(conn, true) {
		return
	}
	go x.dial(x.ctx, x.srv.opts.Streams, e, x.backendToken)
}

// dial waits for a connection to e and opens the stream on it.
func (x *call) dial(ctx context.Context, from *mux.Pool, e *lb.Endpoint, token uint32) {
	for going := 0; ; {
		conn, err := from.Dial(ctx, target2(e.Endpoint))
		if err == nil && x.isUpgrade() {
			err = awaitSettings(ctx, conn)
		}
		if !x.enterBackend(token) {
			return // the client did not wait
		}
		switch {
		case err == nil && x.req.Upgrade != nil && !conn.Extended():
			x.fail(&fail.Error{Kind: fail.UpstreamGarbage, Detail: e.Text + " does not take extended CONNECT"})
		case err == nil && x.open(conn, false):
		case err == nil && (!conn.Closing() || going < maxAttempts):
			if conn.Closing() {
				going++
			}
			x.leave() // others were faster, or the peer is going away
			continue
		case err == nil:
			e.Failed(time.Now())
			x.retry(&fail.Error{Kind: fail.ConnectFailed, Detail: e.Text + " takes no requests"}, true)
		case err != nil:
			e.Failed(time.Now())
			x.retry(&fail.Error{Kind: fail.ConnectFailed, Detail: e.Text, Err: err}, true)
		}
		x.leave()
		return
	}
}

func (x *call) isUpgrade() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.req.Upgrade != nil
}

// awaitSettings waits until it is known what the peer can do.
func awaitSettings(ctx context.Context, conn *mux.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, pool.DefaultDialTimeout)
	defer cancel()
	select {
	case <-conn.Begun():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open begins the stream on conn and sends what there is of the request; false when conn takes no stream now.
func (x *call) open(conn *mux.Conn, reused bool) bool {
	end := x.whole && x.toBackend.empty() && len(x.trailers) == 0
	id := conn.Open(x.owner(), x.backendToken, &x.req, end)
	if id == 0 {
		return false
	}
	x.endpoint.Worked()
	x.up, x.upID, x.reused = conn, id, reused
	if !end {
		x.push()
	}
	return true
}

// push sends what waits for the backend.
func (x *call) push() {
	for end := x.whole && len(x.trailers) == 0; ; {
		first := x.toBackend.first()
		n := x.up.Send(x.upID, first, end && x.toBackend.only())
		x.toBackend.take(n)
		x.consume(n)
		if n < len(first) || x.toBackend.empty() {
			break
		}
	}
	if x.whole && len(x.trailers) > 0 && x.toBackend.empty() {
		x.up.SendTrailers(x.upID, x.trailers)
	}
	x.endTunnel()
}

// consume gives the client window for what is on its way to the backend, once for each octet, however often that is sent.
func (x *call) consume(n int) {
	again := min(n, x.paid)
	x.paid -= again
	n -= again
	x.given += n
	if x.conn != nil {
		x.conn.Consume(x.id, n)
	}
}

// owner is the face that the backend's stream belongs to.
func (x *call) owner() http2.Owner {
	if x.conn == nil {
		return (*fromMirror)(x)
	}
	return (*fromBackend)(x)
}

// Response passes a response head on.
func (f *fromBackend) Response(token uint32, r *msg.Response, end bool) {
	x := (*call)(f)
	if !x.enterBackend(token) {
		return
	}
	defer x.leave()
	x.respond(r, end)
}

func (x *call) respond(r *msg.Response, end bool) {
	if unprocessedBehind(r, x.who.Direction, x.endpoint) {
		x.endpoint.Failed(time.Now())
		x.retry(&fail.Error{Kind: fail.ConnectFailed, Detail: x.endpoint.Text + " could not reach its application", Err: errUnprocessed}, true)
		return
	}
	if x.again(r, end) {
		x.later()
		return
	}
	x.heard, x.replay = true, false
	if r.Status < 200 {
		if x.interims++; x.interims > maxInterim {
			x.fail(&fail.Error{Kind: fail.UpstreamGarbage, Detail: "too many interim responses"})
			return
		}
		x.conn.Respond(x.id, r, false)
		return
	}
	x.stay.change(r, x.layers, x.endpoint)
	x.rec.Code = r.Status
	x.headSent = true
	if x.req.Upgrade != nil && r.Status < 300 {
		x.tunnel = true
		x.until, x.deadline = time.Time{}, time.Time{} // they were for the answer
	}
	if end {
		x.callStatus(r.Fields)
	}
	x.conn.Respond(x.id, r, end)
	if end {
		x.done()
	}
}

// Data passes a part of the response body on.
func (f *fromBackend) Data(token uint32, p []byte, end bool) {
	x := (*call)(f)
	if !x.enterBackend(token) {
		return
	}
	defer x.leave()
	x.rec.BytesOut += int64(len(p))
	n := 0
	if x.toClient.empty() {
		n = x.conn.Send(x.id, p, end)
		x.up.Consume(x.upID, n)
	}
	if n < len(p) || !x.toClient.empty() {
		x.toClient.add(p[n:])
		x.ending = end
		return
	}
	if end {
		x.done()
	}
}

// Trailers end the response.
func (f *fromBackend) Trailers(token uint32, fields msg.Fields) {
	x := (*call)(f)
	if !x.enterBackend(token) {
		return
	}
	defer x.leave()
	x.callStatus(fields)
	if x.toClient.empty() {
		x.conn.SendTrailers(x.id, fields)
		x.done()
		return
	}
	x.closing, x.ending = keepFields(x.closing, fields), true
}

// flush sends what waits for the client.
func (x *call) flush() {
	if x.heardAll {
		return
	}
	for end := x.ending && len(x.closing) == 0; ; {
		first := x.toClient.first()
		n := x.conn.Send(x.id, first, end && x.toClient.only())
		x.toClient.take(n)
		if x.up != nil {
			x.up.Consume(x.upID, n)
		}
		if n < len(first) || x.toClient.empty() {
			break
		}
	}
	if x.plain != nil {
		x.plain.wake()
	}
	if !x.ending || !x.toClient.empty() {
		return
	}
	if len(x.closing) > 0 {
		x.conn.SendTrailers(x.id, x.closing)
	}
	x.done()
}

// done ends the call after a complete response. What is still under way of the request is not wanted by anybody (RFC 9113
// section 8.1), but in a tunnel.
func (x *call) done() {
	if x.tunnel && !x.askedAll() {
		x.heardAll = true
		return
	}
	if !x.whole && x.id != 0 {
		x.conn.Reset(x.id, http2.NoError)
	}
	x.drop(http2.NoError)
	x.over = true
}

// askedAll tells that all of the request is on its way to the backend.
func (x *call) askedAll() bool { return x.whole && x.toBackend.empty() }

// endTunnel ends a call whose backend had nothing more to say, when the client has not either.
func (x *call) endTunnel() {
	if x.heardAll && x.askedAll() {
		x.done()
	}
}

// Reset: the backend's stream is over before it was complete.
func (f *fromBackend) Reset(token uint32, code http2.Code, unprocessed bool) {
	x := (*call)(f)
	if !x.enterBackend(token) {
		return
	}
	defer x.leave()
	x.up, x.tunnel = nil, false
	switch {
	case x.heardAll:
		x.done()
		return
	case x.ending:
		return // the response is here as a whole
	}
	// A connection that ended under an idempotent request, without a byte of the answer, had in all likelihood been closed before
	// it got there (RFC 9110 section 9.2.2).
	stale := code == http2.Lost && x.reused && !x.heard && idempotent(x.rec.Method)
	x.resetCode = code
	x.retry(&fail.Error{Kind: fail.UpstreamReset, Detail: code.String(), Err: io.ErrUnexpectedEOF}, unprocessed && !once(x.rule) || stale)
}

// retry attempts the request again where that is safe or the rule wants it, and fails it where it is not.
func (x *call) retry(err *fail.Error, safe bool) {
	e := x.endpoint
	kind := err.Kind
	again := safe && x.replay && !x.headSent && x.attempts < maxAttempts
	if kind == fail.ConnectFailed && once(x.rule) {
		again = false
	}
	if again {
		x.drop(http2.Cancel)
		x.cluster = newest(x.who, x.cluster)
		again = kind != fail.ConnectFailed || errors.Is(err.Err, errUnprocessed) || x.cluster.Balancer.Other(e)
	}
	if !again {
		if x.mayRetry() && wanted(err, x.rec.Method, safe) {
			x.later()
		} else {
			x.fail(err)
		}
		return
	}
	if x.last = nil; kind == fail.ConnectFailed {
		x.last = e
	}
	x.rewind()
	x.attempt()
}

// newest is c as the current plan knows it: an attempt that failed may be news that the plan already has.
func newest(who *Conn, c *plan.Cluster) *plan.Cluster {
	if who.Resolve == nil || who.Direction == telemetry.Inbound {
		return c // a mirror's copy, or for the own application, whatever clusters there are
	}
	if next := who.Resolve().Lookup(c.Config.Name); next != nil {
		return next
	}
	return c
}

// Writable: the backend takes more of the request.
func (f *fromBackend) Writable(token uint32) {
	x := (*call)(f)
	if !x.enterBackend(token) {
		return
	}
	defer x.leave()
	if x.up != nil {
		x.push()
	}
}
