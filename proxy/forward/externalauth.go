package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/layer/externalauth"
	"github.com/leno-mesh/leno/proxy/lb"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/telemetry"
)

// Outcomes of asking an authorization server, as metrics have them.
const (
	authAllowed = "allowed"
	authDenied  = "denied"
	authFailed  = "failed"
)

// authorize asks the authorization server of a policy, and waits for the answer: until the policy's time is up, or ctx ends. An error
// means that nothing was decided, and nobody is let in then.
func (s *Server) authorize(ctx context.Context, who *Conn, d *plan.Destination, p *externalauth.Policy, q *externalauth.Question) (*externalauth.Verdict, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, p.Config.Timeout)
	defer cancel()
	v, err := s.ask(ctx, who, d, p, q)
	outcome := authAllowed
	switch {
	case err != nil:
		outcome, err = authFailed, &fail.Error{Kind: fail.AuthFailed, Err: err}
	case !v.Allowed:
		outcome = authDenied
	}
	if s.opts.Authorized != nil {
		s.opts.Authorized(who.Direction, p.Config.Cluster, outcome, time.Since(began))
	}
	return v, err
}

// ask asks one endpoint of the server, and others where that one has not seen the question.
func (s *Server) ask(ctx context.Context, who *Conn, d *plan.Destination, p *externalauth.Policy, q *externalauth.Question) (*externalauth.Verdict, error) {
	c := d.Lookup(p.Config.Cluster)
	switch {
	case q == nil:
		return nil, &fail.Error{Kind: fail.Connect, Detail: "HTTP has no words to ask about it"}
	case c == nil:
		return nil, &fail.Error{Kind: fail.NoEndpoints, Detail: "the server is not known yet"}
	case c.Config.Fail != nil:
		return nil, &fail.Error{Kind: fail.BadBackend, Detail: c.Config.Fail.Reason}
	}
	c = s.known(ctx, who, c)
	var last *lb.Endpoint
	for attempt := 1; ; attempt++ {
		e := c.Balancer.Pick(time.Now(), last)
		if e == nil {
			return nil, &fail.Error{Kind: fail.NoEndpoints, Detail: c.Config.Name}
		}
		o := oracle{s, who.Direction, e, p.MaxAnswer()}
		ask := o.askHTTP1
		if p.Config.GRPC || c.Config.HTTP == config.HTTP2Only {
			ask = o.askHTTP2
		}
		a, again, err := ask(ctx, q, attempt > 1)
		e.Done()
		if err == nil {
			return p.Read(a)
		}
		if !again || attempt == maxAttempts || ctx.Err() != nil {
			return nil, err
		}
		if last = nil; fail.KindOf(err) == fail.ConnectFailed {
			last = e
		}
	}
}

// oracle is one endpoint of an authorization server.
type oracle struct {
	srv       *Server
	direction telemetry.Direction
	endpoint  *lb.Endpoint
	most      int // octets of an answer's body that are read
}

// unreached is the failure of a question that has not been seen.
func (o *oracle) unreached(err error) error {
	o.endpoint.Failed(time.Now())
	return &fail.Error{Kind: fail.ConnectFailed, Detail: o.endpoint.Text, Err: err}
}

// askHTTP1 carries a question in HTTP/1.1. again: the endpoint has, in all likelihood, not looked at it.
func (o *oracle) askHTTP1(ctx context.Context, q *externalauth.Question, fresh bool) (a *externalauth.Answer, again bool, err error) {
	conn, err := o.srv.opts.Pool.Get(ctx, target(o.endpoint.Endpoint), time.Now(), fresh)
	if err != nil {
		return nil, true, o.unreached(err)
	}
	o.endpoint.Worked()
	conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(past) })
	heard, reusable := false, false
	if _, err = conn.Write(append(http1.AppendRequest(nil, &q.Head), q.Body...)); err == nil {
		r := answerReader{from: conn, isHead: string(q.Head.Method) == "HEAD", most: o.most}
		a, err = r.read()
		heard, reusable = r.heard, r.reusable
	}
	if err == nil && stop() && reusable {
		conn.ReadBy, conn.WriteBy = time.Time{}, time.Time{}
		o.srv.opts.Pool.Put(conn, time.Now())
	} else {
		conn.Close()
	}
	if err == nil && o.unprocessed(a) {
		return nil, true, o.unreached(errUnprocessed)
	}
	return a, conn.Reused && !heard, err
}

// unprocessed tells that the sidecar in front of the server could not give it the question.
func (o *oracle) unprocessed(a *externalauth.Answer) bool {
	r := msg.Response{Fields: a.Fields}
	defer func() { a.Fields = r.Fields }()
	return unprocessedBehind(&r, o.direction, o.endpoint)
}

// answerReader reads an answer of HTTP/1.1 as a whole.
type answerReader struct {
	from            io.Reader
	isHead          bool
	most            int
	in              reader
	heard, reusable bool
}

func (r *answerReader) read() (*externalauth.Answer, error) {
	r.in.swap(smallBuffer)
	defer func() { giveBuffer(r.in.buf) }()
	var resp msg.Response
	for interim := 0; resp.Status < 200; {
		end, err := http1.HeadEnd(r.in.data(), 0)
		if err != nil {
			return nil, garbage(err)
		}
		if end == 0 {
			if err := r.more(); err != nil {
				return nil, err
			}
			continue
		}
		resp.Reset()
		if err = http1.ParseResponse(r.in.data()[:end], r.isHead, &resp); err != nil {
			return nil, garbage(err)
		}
		if interim++; resp.Status == 101 || interim > maxInterim {
			return nil, &fail.Error{Kind: fail.UpstreamGarbage, Detail: "it did not answer the question"}
		}
		r.in.consume(end)
	}
	a := &externalauth.Answer{Status: resp.Status, Fields: keepFields(nil, resp.Fields)}
	var err error
	if a.Body, a.Whole, err = r.body(resp.Body); err != nil {
		return nil, err
	}
	r.reusable = a.Whole && !resp.Close && resp.Body.Kind != msg.UntilClose && r.in.empty()
	return a, nil
}

// body reads a body, or what of it is wanted.
func (r *answerReader) body(kind msg.Body) (out []byte, whole bool, err error) {
	var rest body
	rest.expect(kind)
	for !rest.done {
		piece := r.in.data()
		if rest.kind == msg.UntilClose {
			r.in.consume(len(piece))
		} else if piece, _, err = rest.raw(&r.in); err != nil {
			return nil, false, garbage(err)
		}
		if len(out)+len(piece) > r.most {
			return append(out, piece[:r.most-len(out)]...), false, nil
		}
		out = append(out, piece...)
		if rest.done {
			break
		}
		if err := r.more(); errors.Is(err, io.EOF) && rest.kind == msg.UntilClose {
			return out, true, nil
		} else if err != nil {
			return nil, false, err
		}
	}
	return out, true, nil
}

func (r *answerReader) more() error {
	r.in.rewind()
	if !r.in.room() {
		return garbage(http1.ErrHeadTooLarge)
	}
	err := r.in.fill(r.from)
	r.heard = r.heard || err == nil
	return err
}

// askHTTP2 is askHTTP1 in HTTP/2.
func (o *oracle) askHTTP2(ctx context.Context, q *externalauth.Question, fresh bool) (answer *externalauth.Answer, again bool, err error) {
	conn := o.srv.opts.Streams.Get(target2(o.endpoint.Endpoint))
	reused := conn != nil && !fresh
	if !reused {
		if conn, err = o.srv.opts.Streams.Dial(ctx, target2(o.endpoint.Endpoint)); err != nil {
			return nil, true, o.unreached(err)
		}
	}
	o.endpoint.Worked()
	a := newAsked(conn, reused)
	a.mu.Lock()
	a.id = conn.Open(a, 0, &q.Head, len(q.Body) == 0)
	a.mu.Unlock()
	if a.id == 0 {
		return nil, true, &fail.Error{Kind: fail.ConnectFailed, Detail: o.endpoint.Text + " takes no requests"}
	}
	stop := context.AfterFunc(ctx, func() { a.drop(http2.Cancel) })
	defer stop()
	defer a.drop(http2.NoError)
	if len(q.Body) > 0 {
		a.send(q.Body, true) // where the stream is over, there may be an answer all the same
	}
	answer, err = a.whole(o.most)
	if err != nil {
		return nil, a.again(true), err
	}
	if o.unprocessed(answer) {
		return nil, true, o.unreached(errUnprocessed)
	}
	return answer, false, nil
}

// whole waits for an answer to its end, or until there are more than most octets of its body.
func (a *asked) whole(most int) (*externalauth.Answer, error) {
	out := &externalauth.Answer{}
	for interim := 0; out.Status < 200; {
		resp, failure := a.head()
		switch {
		case failure != nil:
			return nil, failure
		case resp == nil:
			a.wait(farAway(), func() bool { return len(a.heads) > 0 })
			continue
		}
		if interim++; interim > maxInterim {
			return nil, &fail.Error{Kind: fail.UpstreamGarbage, Detail: "too many interim responses"}
		}
		out.Status, out.Fields = resp.Status, resp.Fields
	}
	for {
		body, done, failure := a.take(out.Body, most+1-len(out.Body))
		out.Body = body
		switch {
		case len(body) > most:
			out.Body = body[:most]
			return out, nil
		case done:
			out.Whole, out.Trailers = true, a.trailers
			return out, nil
		case failure != nil:
			return nil, failure
		}
		a.wait(farAway(), func() bool { return a.ended || !a.body.empty() })
	}
}

// remote is the address of a connection's other end; zero where it has none.
func remote(conn net.Conn) netip.AddrPort {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
