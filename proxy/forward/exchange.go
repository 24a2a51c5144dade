package forward

import (
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/layer"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/pool"
	"github.com/leno-mesh/leno/proxy/sock"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// exchange is everything that one request and its response need. It is pooled: a connection that rests has none.
type exchange struct {
	in  reader // from the client
	up  reader // from the backend
	out []byte // what is written next; the whole request until a response begins

	req      msg.Request
	resp     msg.Response
	upChunks http1.Chunks
	body     body
	pump     pump
	mirrors  []*plan.Cluster // drawn for this request

	dest     *plan.Destination
	rule     *plan.Rule
	backend  *plan.Backend
	layers   []layer.Response // that change the answer
	early    int              // how many of them, at the end, are what the listener's filters have said
	held     []byte           // the request body, where an authorization server was told it
	stay     stay
	endpoint *lb.Endpoint
	conn     *pool.Conn
	asker    asker         // conn, when the request is still to be sent
	answer   func() []byte // roomUp, made once
	bulk     bool          // much is expected of the response
	splice   *sock.Splice  // what the response is read into, where not x.up
	left     int64         // of the response, while it is spliced

	rec       telemetry.Request
	start     time.Time
	now       time.Time // at most about a second behind: reading the clock costs as much as finding a route
	until     time.Time // when the exchange must be over; zero: never
	untilKind fail.Kind
	heard     bool   // the backend has sent something in this attempt
	retries   uint32 // attempts that the rule's retry made
	interim   bool   // the client has got an interim response
	headSent  bool   // the client has got a final response head
	counted   bool   // in the server's number of requests
	isHead    bool
	budget    *lb.Budget // of the backend, for retries; nil: none
}

var exchanges = sync.Pool{New: func() any {
	x := new(exchange)
	x.answer = x.roomUp
	return x
}}

// newExchange returns one that is reset.
func newExchange() *exchange {
	x := exchanges.Get().(*exchange)
	if x.in.buf == nil {
		x.in.swap(smallBuffer)
	}
	if cap(x.out) == 0 {
		x.out = takeBuffer(smallBuffer)
	}
	x.out = x.out[:0]
	return x
}

// free gives an exchange that is reset back, with its buffers: whoever comes next finds all of it in the processor's
// cache. Large ones are given to those who need them.
func (x *exchange) free() {
	for _, b := range [...]*reader{&x.in, &x.up} {
		if !b.small() {
			giveBuffer(b.buf)
			b.buf = nil
		}
		b.r, b.w = 0, 0
	}
	if cap(x.out) > smallBuffer {
		giveBuffer(x.out)
		x.out = nil
	}
	exchanges.Put(x)
}

// reset prepares for the next request; what was read of it stays.
func (x *exchange) reset() {
	x.req.Reset()
	x.resp.Reset()
	x.dest, x.rule, x.backend, x.layers, x.endpoint, x.conn, x.asker = nil, nil, nil, nil, nil, nil, nil
	x.until, x.untilKind, x.headSent, x.counted, x.isHead = time.Time{}, fail.None, false, false, false
	x.retries, x.held, x.early, x.interim, x.budget, x.stay = 0, nil, 0, false, nil, stay{}
	x.rec.Reset()
	x.body.reset()
	x.pump.used, x.pump.tee = false, nil
	clear(x.mirrors)
	x.mirrors = x.mirrors[:0]
}

// exchange answers the request whose head was read. False: the connection ends.
func (s *session) exchange() bool {
	keep := s.answerRequest()
	if !keep {
		s.lingerAnswered()
	}
	return keep
}

// answerRequest is exchange, but for what is to do at the connection's end. Of a request without anything to come from
// the client it reads nothing there.
func (s *session) answerRequest() bool {
	d := s.c.Resolve()
	s.begin(d)
	x := s.x
	x.body.expect(x.req.Body)
	err := s.handle(d)
	if err != nil {
		err = s.settle(err)
	}
	keep := err == nil && !x.req.Close
	if keep && !x.body.done {
		keep = s.discardBody()
	}
	s.finish()
	return keep
}

// lingerAnswered lets the client read its answer, if there was one.
func (s *session) lingerAnswered() {
	if s.x.headSent {
		s.linger()
	}
}

// handle decides where a request goes and carries it there. An error means that there is no whole answer yet.
func (s *session) handle(d *plan.Destination) error {
	x := s.x
	if err := x.body.limit(d.MaxRequestBody); err != nil {
		return err
	}
	if x.counted = true; s.srv.inFlight.Add(1) > s.srv.opts.MaxInFlight {
		return &fail.Error{Kind: fail.Overload}
	}
	if x.connects() {
		x.req.Close = true // without a tunnel, what may already follow is no request
	}
	s.c.Edge.mark(&x.req)
	if d.Routes != nil {
		if answered, err := s.filter(d.Routes.Filters(&x.req)); answered || err != nil {
			return err
		}
	}
	to, err := decide(d, &x.req, s.peered(), s.srv.opts.Random)
	x.stay = to.stay
	if x.rule, x.backend, x.layers = to.rule, to.backend, within(x.layers, to.response); x.rule != nil {
		x.rec.Origin = x.rule.Action.Origin
		s.limit(x.rule.Action.Timeout, fail.RequestTimeout)
	}
	switch {
	case err != nil:
		s.c.refused(err, &x.req)
		return err
	case to.preflight != nil:
		x.resp.Reset()
		to.preflight.Preflight(&x.resp)
		return s.answer(noContent, nil)
	}
	if x.rule != nil && x.rule.ExternalAuth != nil {
		if answered, err := s.authorize(x.rule.ExternalAuth); answered || err != nil {
			return err
		}
	}
	switch {
	case to.fail != nil:
		return s.answerConfigured(to.fail)
	case to.redirect != nil:
		return s.answerRedirect(to.redirect, x.layers)
	}
	if x.backend != nil {
		for _, l := range x.backend.Request {
			l.Request(&x.req)
		}
	}
	if to.cluster == nil {
		return &fail.Error{Kind: fail.NoEndpoints, Detail: "the destination is not known yet"}
	}
	to.cluster = s.known(to.cluster)
	if x.budget = to.cluster.Budget; x.budget != nil {
		x.budget.Request(x.start)
	}
	if to.cluster.Config.HTTP == config.HTTP2Only {
		return s.forward2(to.cluster)
	}
	return s.forward(to.cluster)
}

// limit shortens the time that is left.
func (s *session) limit(d time.Duration, kind fail.Kind) {
	if d <= 0 {
		return
	}
	x := s.x
	if t := time.Now().Add(d); kind == fail.RequestTimeout {
		x.until, x.untilKind = x.start.Add(d), kind
	} else if x.until.IsZero() || t.Before(x.until) {
		x.until, x.untilKind = t, kind
	}
}

// begin starts the record of a request. d is nil for one that cannot be told a destination.
func (s *session) begin(d *plan.Destination) {
	x := s.x
	x.start = time.Now()
	x.now = x.start
	x.dest = d
	x.isHead = string(x.req.Method) == "HEAD"
	r := &x.rec
	describe(r, s.c, &x.req, d)
	r.Protocol, r.Start = "HTTP/1.1", x.start
	if x.req.Minor == 0 && len(x.req.Method) > 0 {
		r.Protocol = "HTTP/1.0"
	}
	if s.c.Direction == telemetry.Inbound {
		if s.peer == "" {
			s.peer = s.conn.RemoteAddr().String()
		}
		r.Peer = s.peer
	}
}

// finish emits the record.
func (s *session) finish() {
	x := s.x
	if x.counted {
		s.srv.inFlight.Add(-1)
		x.counted = false
	}
	x.rec.Duration = time.Since(x.start) // one look at a clock, where time.Now takes two
	s.last = x.start.Add(x.rec.Duration)
	if s.srv.opts.Sink != nil {
		s.srv.opts.Sink.Request(&x.rec)
	}
}

// method returns the method without allocating for the usual ones.
func method(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "HEAD":
		return "HEAD"
	case "DELETE":
		return "DELETE"
	case "PATCH":
		return "PATCH"
	case "OPTIONS":
		return "OPTIONS"
	}
	return string(b)
}

// idempotent tells whether sending a request twice is like sending it once (RFC 9110 section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

func (x *exchange) destination(e *lb.Endpoint) {
	x.endpoint = e
	if x.rec.Direction == telemetry.Inbound {
		return
	}
	x.rec.Peer, x.rec.MTLS = e.Text, e.Identity != ""
	if e.Workload != (config.Workload{}) {
		x.rec.Destination = e.Workload
	}
}
