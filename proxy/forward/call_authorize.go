package forward

import (
	"context"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/layer/externalauth"
	"github.com/leno-mesh/leno/proxy/msg"
)

// pending is a call whose authorization server is asked, or will be when the body is here.
type pending struct {
	policy *externalauth.Policy
	then   func() // goes on with the request where it may pass
	cancel context.CancelFunc
}

// filter asks the authorization servers of the listener one after the other, and decides then where the request goes.
func (x *call) filter(filters []*externalauth.Policy) {
	x.early = len(x.layers)
	if len(filters) == 0 {
		x.choose()
		return
	}
	x.authorize(filters[0], func() { x.filter(filters[1:]) })
}

// authorizeRule asks the authorization server of the call's rule before what was decided is carried out.
func (x *call) authorizeRule(to decision) {
	x.authorize(x.rule.ExternalAuth, func() { x.carryOut(to) })
}

// authorize asks an authorization server of the listener or of the call's rule, at once or when all of the body that it is to be told
// is here, and goes on then.
func (x *call) authorize(p *externalauth.Policy, then func()) {
	x.asking = &pending{policy: p, then: then}
	switch {
	case p.Config.MaxBody == 0:
		x.ask()
		return
	case x.tooLong(max(x.req.Body.Length, int64(x.toBackend.size))):
		x.failTooLong()
		return
	case x.whole:
		x.ask()
		return
	case x.req.Continue:
		// The body is wanted here, whatever the backend will say.
		x.req.Continue = false
		x.conn.Respond(x.id, &msg.Response{Status: 100, Announced: -1}, false)
	}
	x.hold(x.toBackend.size - x.paid) // what has come since another server was asked
}

// tooLong tells that a body of n octets is more than the server is told.
func (x *call) tooLong(n int64) bool { return n > int64(x.asking.policy.Config.MaxBody) }

func (x *call) failTooLong() { x.fail(tooLong(int64(x.asking.policy.Config.MaxBody))) }

// hold keeps n more octets of the body, which are in toBackend, until the server has decided. The client gets its window back for as
// much as the server is told.
func (x *call) hold(n int) {
	if x.asking.policy.Config.MaxBody == 0 || x.asking.cancel != nil {
		return
	}
	if x.tooLong(int64(x.toBackend.size)) {
		x.failTooLong()
		return
	}
	x.given += n
	x.paid += n
	x.conn.Consume(x.id, n)
	if x.whole {
		x.ask()
	}
}

// ask asks in a goroutine of its own, which ends with the call.
func (x *call) ask() {
	p := x.asking.policy
	var body []byte
	if p.Config.MaxBody > 0 {
		body = x.toBackend.all()
	}
	question := p.Ask(&externalauth.Request{
		Head: &x.req, Body: body, Scheme: x.who.scheme(), Protocol: "HTTP/2",
		Source: remote(x.conn.NetConn()), Destination: x.dest.Address, Time: x.rec.Start,
	})
	ctx, cancel := context.WithCancel(x.ctx)
	x.asking.cancel = cancel
	srv, who, d, token, asking := x.srv, x.who, x.dest, x.token, x.asking
	go func() {
		defer cancel()
		v, err := srv.authorize(ctx, who, d, p, question)
		if !x.enter(token) {
			return
		}
		defer x.leave()
		if x.asking == asking { // else nobody waits any more
			x.decided(v, err)
		}
	}()
}

// decided goes on as the server says.
func (x *call) decided(v *externalauth.Verdict, err error) {
	then := x.asking.then
	x.asking = nil
	switch {
	case err != nil:
		x.fail(err)
	case !v.Allowed:
		x.answerRefusal(v)
	default:
		v.Request(&x.req)
		x.layers = allow(v, x.layers, x.early)
		then()
	}
}

// forget stops asking.
func (x *call) forget() {
	if x.asking == nil {
		return
	}
	if x.asking.cancel != nil {
		x.asking.cancel()
	}
	x.asking = nil
}

// answerRefusal answers as the authorization server has: a gRPC call by a status. Layers of the rule change this response as they would
// a backend's.
func (x *call) answerRefusal(v *externalauth.Verdict) {
	x.rec.Flag = fail.Of(fail.AuthDenied).Flag
	if x.isCall || len(v.Fields) == 0 && len(v.Body) == 0 {
		x.answerText(v.Status, fail.AuthDenied, "", false)
		return
	}
	x.drop(http2.Cancel)
	x.resp.Reset()
	x.resp.Fields = append(x.resp.Fields, v.Fields...)
	for _, l := range x.layers {
		l.Response(&x.resp)
	}
	x.answer(v.Status, v.Body)
}
