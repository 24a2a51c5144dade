package forward

import (
	"context"
	"slices"
	"strconv"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/layer/externalauth"
	"github.com/leno-mesh/leno/proxy/msg"
)

// pending is a call whose authorization server is asked, or will be when the body is here.
type pending struct {
	policy *externalauth.Policy
	to     decision // what becomes of the request where it may pass
	cancel context.CancelFunc
}

// authorize asks the authorization server of the call's rule, at once or when all of the body that it is to be told is here.
func (x *call) authorize(to decision) {
	x.asking = &pending{policy: x.rule.ExternalAuth, to: to}
	switch {
	case x.asking.policy.Config.MaxBody == 0 || x.whole:
		x.ask()
	case x.tooLong(x.req.Body.Length):
		x.failTooLong()
	case x.req.Continue:
		// The body is wanted here, whatever the backend will say.
		x.req.Continue = false
		x.conn.Respond(x.id, &msg.Response{Status: 100, Announced: -1}, false)
	}
}

// tooLong tells that a body of n octets is more than the server is told.
func (x *call) tooLong(n int64) bool { return n > int64(x.asking.policy.Config.MaxBody) }

func (x *call) failTooLong() {
	most := strconv.FormatInt(int64(x.asking.policy.Config.MaxBody), 10)
	x.fail(&fail.Error{Kind: fail.BodyTooLarge, Detail: "more than the " + most + " bytes that the authorization server is told"})
}

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
	to := x.asking.to
	x.asking = nil
	switch {
	case err != nil:
		x.fail(err)
	case !v.Allowed:
		x.answerRefusal(v)
	default:
		v.Request(&x.req)
		if v.Responds() {
			x.layers = append(slices.Clip(x.layers), v)
		}
		x.carryOut(to)
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
