package forward

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/grpc"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
)

// maxReplay is how much of a request body is kept in order to send it again, as long as nothing was heard of the backend.
const maxReplay = 32 << 10

// defaultBackoff is the pause before the first retry where the rule names none; pauses double up to maxBackoff times the first.
const (
	defaultBackoff = 25 * time.Millisecond
	maxBackoff     = 10
)

// errAgain ends an attempt whose answer has a status that the rule's retry names.
var errAgain = errors.New("the answer has a status to retry")

// retryOf is what a rule says of attempts after a failed one; nil: nothing.
func retryOf(r *plan.Rule) *config.Retry {
	if r == nil {
		return nil
	}
	return r.Action.Retry
}

// once tells that the rule wants one attempt only, even where it is certain that no backend has seen the request.
func once(r *plan.Rule) bool {
	policy := retryOf(r)
	return policy != nil && policy.Attempts == 0
}

// wanted tells whether a rule that asks for retries wants one after err: where no backend took the request, and after its time for
// one attempt. A connection that ended without an answer may have had the request processed: then only if its method is idempotent
// (RFC 9110 section 9.2.2). refused: the backend has told that it did not process the request.
func wanted(err error, method string, refused bool) bool {
	kind := fail.KindOf(err)
	return errors.Is(err, errAgain) || kind == fail.ConnectFailed || kind == fail.BackendTimeout ||
		kind == fail.UpstreamReset && (refused || idempotent(method))
}

// pause is how long to wait before retry n, counted from 1: at least the base, and up to half of it more, so that requests that
// failed together do not come back together.
func pause(r *config.Retry, n uint32) time.Duration {
	base := r.Backoff
	if base == 0 {
		base = defaultBackoff
	}
	d := base << min(n-1, 4)
	d = min(d, maxBackoff*base)
	return d + time.Duration(rand.Int64N(int64(d)/2+1))
}

// mayRetry tells that the rule allows one more attempt, and that the request can be sent once more.
func (x *exchange) mayRetry() bool {
	r := retryOf(x.rule)
	return r != nil && x.retries < r.Attempts && x.body.done && !x.pump.used && !x.headSent && !x.interim
}

// again tells that an answer is not passed on, but the request sent again.
func (x *exchange) again(status int) bool {
	return x.mayRetry() && slices.Contains(x.rule.Action.Retry.Statuses, status)
}

// wait prepares for another attempt after one that ended with err, or returns what the exchange ends with. refused: the backend did
// not process the request.
func (s *session) wait(err error, refused bool, whole time.Time, wholeKind fail.Kind) error {
	x := s.x
	if !x.mayRetry() || !wanted(err, x.rec.Method, refused) {
		return err
	}
	if x.budget != nil && !x.budget.Retry(time.Now()) {
		return &fail.Error{Kind: fail.RetryBudget, Err: err}
	}
	x.retries++
	until := time.Now().Add(pause(x.rule.Action.Retry, x.retries))
	late := !whole.IsZero() && whole.Before(until)
	if late {
		until = whole
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
		return err
	}
	x.now = time.Now()
	switch {
	case late:
		return &fail.Error{Kind: wholeKind}
	case s.watcher().Gone():
		return &fail.Error{Kind: fail.ClientGone}
	}
	return nil
}

// gather appends the rest of a body to b where the rule wants retries and the body is short enough for them. What was read of the
// client must have been taken.
func (s *session) gather(b []byte) ([]byte, error) {
	x := s.x
	r := retryOf(x.rule)
	if r == nil || r.Attempts == 0 || x.body.done || x.body.kind != msg.Sized || x.req.Body.Length > maxReplay || x.req.Continue {
		return b, nil
	}
	at := len(b)
	b = append(b, make([]byte, x.body.left)...)
	for at < len(b) {
		short := s.armBody()
		n, err := s.conn.Read(b[at:])
		at += n
		x.body.left -= int64(n)
		x.rec.BytesIn += int64(n)
		if n == 0 {
			return b, s.unreadError(s.bodyFailed(err, short))
		}
	}
	x.body.done = true
	return b, nil
}

// mayRetry is the same for a call.
func (x *call) mayRetry() bool {
	r := retryOf(x.rule)
	return r != nil && x.retries < r.Attempts && x.replay && !x.headSent
}

// again is the same for a call, whose answer may be the status of gRPC that says that the backend does not take it.
func (x *call) again(r *msg.Response, end bool) bool {
	return x.mayRetry() && (slices.Contains(x.rule.Action.Retry.Statuses, r.Status) || end && x.isCall && unavailable(r.Fields))
}

// unavailable tells that the fields are those of a call that ended with UNAVAILABLE.
func unavailable(fields msg.Fields) bool {
	value, _ := fields.Get("grpc-status")
	return string(value) == grpc.Unavailable.String()
}

// later makes another attempt after a pause.
func (x *call) later() {
	if b := x.cluster.Budget; b != nil && !b.Retry(time.Now()) {
		x.fail(&fail.Error{Kind: fail.RetryBudget})
		return
	}
	x.retries++
	x.last = x.endpoint
	x.drop(http2.Cancel)
	x.cluster = newest(x.who, x.cluster)
	x.rewind()
	x.until, x.untilKind = x.deadline, x.lateKind
	x.arm()
	token := x.backendToken
	time.AfterFunc(pause(x.rule.Action.Retry, x.retries), func() {
		if x.enterBackend(token) {
			x.attempt()
			x.leave()
		}
	})
}

// rewind puts all of the body that has come in front again; what the client was given window for stays given.
func (x *call) rewind() {
	x.toBackend.reset()
	x.toBackend.add(x.sent)
	x.paid = x.given
}
