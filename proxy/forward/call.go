package forward

import (
	"context"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/grpc"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/layer"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// call is the exchange of a client that speaks HTTP/2. It has no goroutine of its own: what the client sends is carried on by
// the goroutine that reads from the client, what the backend sends by the one that reads from the backend, and either may find
// the call over. All of it is guarded by mu. Calls are pooled: tokens tell events of the current exchange from late ones.
type call struct {
	mu  sync.Mutex
	srv *Server
	ctx context.Context

	// Towards the client.
	conn     *mux.Conn
	who      *Conn
	peer     string
	token    uint32
	id       uint32 // stream; 0 for a mirror's copy, which has no client
	toClient queue
	ending   bool // the response is complete but for what is in toClient
	closing  msg.Fields
	headSent bool
	tunnel   bool // protocols were switched: the client's way may outlive the backend's
	heardAll bool // of a tunnel: the backend's way has ended, and the client knows
	over     bool // to be freed by leave

	// Towards the backend.
	backendToken uint32
	up           *mux.Conn
	upID         uint32
	plain        *plainBackend // the backend speaks HTTP/1.1
	toBackend    queue
	given        int  // octets of the body that the client has got its window back for
	paid         int  // so many of them are in front of toBackend again, for another attempt
	whole        bool // the request is complete
	trailers     msg.Fields
	heard        bool // the backend has answered something in this attempt
	reused       bool // its connection had streams before

	// The request as the backend gets it, and how it may be sent again.
	req      msg.Request
	arena    []byte
	sent     []byte
	replay   bool // sent holds all of the body that was sent
	attempts int
	retries  uint32 // attempts that the rule's retry made
	mirrors  []*plan.Cluster
	tee      bool     // the body is kept in sent for mirrors, too
	asking   *pending // an authorization server has not decided yet; nil: none is asked

	dest     *plan.Destination
	rule     *plan.Rule
	backend  *plan.Backend
	layers   []layer.Response // that change the answer
	early    int              // how many of them, at the end, are what the listener's filters have said
	stay     stay
	cluster  *plan.Cluster
	endpoint *lb.Endpoint
	last     *lb.Endpoint

	rec       telemetry.Request
	isCall    bool // gRPC
	interims  int
	deadline  time.Time // of the whole exchange; zero: none
	lateKind  fail.Kind // what it is when deadline has passed
	until     time.Time // of the current attempt
	untilKind fail.Kind
	resetCode http2.Code // that the backend reset its stream with
	timer     *time.Timer
	resp      msg.Response // for answers of our own
	text      []byte
}

// The faces of a call: towards its client, its backend, and the backend that gets a copy.
type (
	fromClient  call
	fromBackend call
	fromMirror  call
)

var calls = sync.Pool{New: func() any { return new(call) }}

// enter locks the call for an event of the client's stream; false when that is over.
func (x *call) enter(token uint32) bool {
	x.mu.Lock()
	if x.token == token {
		return true
	}
	x.mu.Unlock()
	return false
}

// enterBackend is enter for an event of the backend's stream.
func (x *call) enterBackend(token uint32) bool {
	x.mu.Lock()
	if x.backendToken == token {
		return true
	}
	x.mu.Unlock()
	return false
}

// leave unlocks, and frees the call when it is over.
func (x *call) leave() {
	if !x.over {
		x.mu.Unlock()
		return
	}
	x.finish()
	x.token++
	x.backendToken++
	if x.timer != nil {
		x.timer.Stop()
	}
	srv := x.srv
	x.clear()
	x.mu.Unlock()
	calls.Put(x)
	srv.inFlight.Add(-1)
}

// clear forgets everything but memory and tokens.
func (x *call) clear() {
	x.srv, x.ctx, x.conn, x.who, x.peer, x.id = nil, nil, nil, nil, "", 0
	x.toClient.reset()
	x.toBackend.reset()
	x.ending, x.headSent, x.over, x.whole, x.heard, x.reused = false, false, false, false, false, false
	x.tunnel, x.heardAll = false, false
	x.closing, x.trailers = x.closing[:0], x.trailers[:0]
	x.up, x.upID, x.plain, x.given, x.paid = nil, 0, nil, 0, 0
	x.req.Reset()
	if cap(x.arena) > largeBuffer {
		x.arena = nil
	}
	if cap(x.sent) > largeBuffer {
		x.sent = nil
	}
	x.arena, x.sent = x.arena[:0], x.sent[:0]
	x.replay, x.tee, x.attempts, x.retries, x.interims = false, false, 0, 0, 0
	clear(x.mirrors)
	x.mirrors = x.mirrors[:0]
	x.asking, x.early = nil, 0
	x.dest, x.rule, x.backend, x.layers, x.cluster, x.endpoint, x.last = nil, nil, nil, nil, nil, nil, nil
	x.stay = stay{}
	x.rec = telemetry.Request{}
	x.isCall = false
	x.deadline, x.lateKind, x.until, x.untilKind = time.Time{}, fail.None, time.Time{}, fail.None
	x.resetCode = http2.NoError
}

// take copies a request head, which is a view, into memory of the call's own.
func (x *call) take(req *msg.Request) {
	size := len(req.Method) + len(req.Authority) + len(req.Path) + len(req.Query) + len(req.Upgrade)
	for i := range req.Fields {
		size += len(req.Fields[i].Name) + len(req.Fields[i].Value)
	}
	if cap(x.arena) < size {
		x.arena = make([]byte, 0, size+size/2)
	}
	to := &x.req
	fields, scratch := to.Fields[:0], to.Scratch[:0]
	*to = *req
	to.Method, to.Authority, to.Path = x.keep(req.Method), x.keep(req.Authority), x.keep(req.Path)
	to.Query, to.Upgrade = x.keep(req.Query), x.keep(req.Upgrade)
	for i := range req.Fields {
		f := &req.Fields[i]
		fields = append(fields, msg.Field{Name: x.keep(f.Name), Value: x.keep(f.Value), Sensitive: f.Sensitive})
	}
	to.Fields, to.Scratch = fields, scratch
}

// keep copies b into the arena, which has room.
func (x *call) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	at := len(x.arena)
	x.arena = append(x.arena, b...)
	return x.arena[at:len(x.arena):len(x.arena)]
}

// keepFields copies fields that are views. They are few and rare enough to be left to the garbage collector.
func keepFields(dst, fields msg.Fields) msg.Fields {
	dst = dst[:0]
	for i := range fields {
		f := &fields[i]
		b := append(append(make([]byte, 0, len(f.Name)+len(f.Value)), f.Name...), f.Value...)
		dst = append(dst, msg.Field{Name: b[:len(f.Name):len(f.Name)], Value: b[len(f.Name):], Sensitive: f.Sensitive})
	}
	return dst
}

// begin starts the record of a request.
func (x *call) begin(d *plan.Destination) {
	x.dest = d
	r := &x.rec
	describe(r, x.who, &x.req, d)
	r.Protocol, r.Start = "HTTP/2", time.Now()
	if x.who.Direction == telemetry.Inbound {
		r.Peer = x.peer
	}
	value, _ := x.req.Fields.Get("content-type")
	x.isCall = grpc.IsCall(value)
	if !x.isCall {
		return
	}
	r.Protocol = "gRPC"
	if value, ok := x.req.Fields.Get("grpc-timeout"); ok {
		if d, ok := grpc.Timeout(value); ok {
			x.deadline, x.lateKind = r.Start.Add(d), fail.RequestTimeout
		}
	}
}

// describe fills in what a record says of a request from the start.
func describe(r *telemetry.Request, who *Conn, req *msg.Request, d *plan.Destination) {
	r.Direction, r.Source, r.MTLS, r.Client = who.Direction, who.Source, who.MTLS, who.Client
	r.Method = method(req.Method)
	if d == nil {
		return
	}
	r.Service, r.Origin, r.Destination = d.Service, d.Origin, d.Receiver
	if d.AccessLog {
		// Only an access log shows these; without one they are not worth an allocation.
		r.Path, r.Authority = string(req.Path), string(req.Authority)
	}
}

// finish emits the record.
func (x *call) finish() {
	x.letGo()
	if x.conn == nil {
		x.srv.mirrors.Add(-1)
		return
	}
	x.rec.Duration = time.Since(x.rec.Start)
	if x.isCall && x.rec.GRPC == "" {
		x.rec.GRPC = x.untold().String()
	}
	if x.srv.opts.Sink != nil {
		x.srv.opts.Sink.Request(&x.rec)
	}
}

// letGo ends the attempt's hold on its endpoint.
func (x *call) letGo() {
	if x.endpoint != nil {
		x.endpoint.Done()
		x.endpoint = nil
	}
}

// noteEndpoint records where an attempt goes.
func (x *call) noteEndpoint(e *lb.Endpoint) {
	x.endpoint = e
	if x.rec.Direction == telemetry.Inbound {
		return
	}
	x.rec.Peer, x.rec.MTLS = e.Text, e.Identity != ""
	if e.Workload != (config.Workload{}) {
		x.rec.Destination = e.Workload
	}
}

// drop tells the backend, or who decides whether it may be asked, that nobody waits for its answer any more.
func (x *call) drop(code http2.Code) {
	x.forget()
	if x.up != nil {
		x.up.Reset(x.upID, code)
		x.up = nil
	}
	if x.plain != nil {
		x.plain.cut()
		x.plain = nil
	}
	x.backendToken++
	x.letGo()
}
