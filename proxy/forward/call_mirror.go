package forward

import (
	"time"

	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// drawMirrors finds the mirrors that get a copy of this request.
func (x *call) drawMirrors() {
	if x.backend == nil || x.req.Upgrade != nil {
		return
	}
	for i := range x.backend.Mirrors {
		m := &x.backend.Mirrors[i]
		if !m.Sampled(x.srv.opts.Random()) {
			continue
		}
		if c := x.dest.Lookup(m.Cluster); c != nil {
			x.mirrors = append(x.mirrors, c)
		}
	}
	x.tee = len(x.mirrors) > 0
}

// sendMirrors sends the whole request to the mirrors that were drawn.
func (x *call) sendMirrors() {
	for _, c := range x.mirrors {
		if x.srv.mirrors.Add(1) > maxMirrors {
			x.srv.mirrors.Add(-1)
			continue
		}
		x.copyTo(c)
	}
	x.mirrors, x.tee = x.mirrors[:0], false
}

// copied is who sends the copies of requests.
var copied = Conn{Direction: telemetry.Outbound}

// copyTo makes a call without a client: what it is answered goes nowhere.
func (x *call) copyTo(c *plan.Cluster) {
	m := calls.Get().(*call)
	m.mu.Lock()
	defer m.leave()
	m.srv, m.ctx, m.who = x.srv, x.detached(), &copied
	m.srv.inFlight.Add(1)
	m.take(&x.req)
	m.rec.Method, m.rec.Start = x.rec.Method, time.Now()
	m.whole, m.replay = true, true
	m.trailers = keepFields(m.trailers, x.trailers)
	m.toBackend.add(x.sent)
	m.sent = append(m.sent, x.sent...)
	m.limit(mirrorTime, fail.RequestTimeout)
	m.cluster = c
	m.attempt()
}

// Response is of no interest.
func (f *fromMirror) Response(token uint32, _ *msg.Response, end bool) { f.ended(token, end, 0) }

// Data is of no interest.
func (f *fromMirror) Data(token uint32, p []byte, end bool) { f.ended(token, end, len(p)) }

// Trailers end the copy.
func (f *fromMirror) Trailers(token uint32, _ msg.Fields) { f.ended(token, true, 0) }

// Reset ends the copy.
func (f *fromMirror) Reset(token uint32, _ http2.Code, _ bool) { f.ended(token, true, 0) }

// Writable sends more of the copy.
func (f *fromMirror) Writable(token uint32) { (*fromBackend)(f).Writable(token) }

func (f *fromMirror) ended(token uint32, end bool, n int) {
	x := (*call)(f)
	if !x.enterBackend(token) {
		return
	}
	defer x.leave()
	if x.up != nil {
		x.up.Consume(x.upID, n)
	}
	if end {
		x.drop(http2.NoError)
		x.over = true
	}
}
