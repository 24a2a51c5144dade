package forward

import (
	"fmt"
	"slices"
	"time"

	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/layer"
	"github.com/leno-mesh/leno/proxy/layer/cors"
	"github.com/leno-mesh/leno/proxy/layer/externalauth"
	"github.com/leno-mesh/leno/proxy/layer/redirect"
	"github.com/leno-mesh/leno/proxy/msg"
	"github.com/leno-mesh/leno/proxy/plan"
	"github.com/leno-mesh/leno/proxy/route"
)

// decision is what becomes of a request: an answer of the proxy's own (fail, else redirect), else a backend, else (rule and
// backend nil) the destination's cluster.
type decision struct {
	rule     *plan.Rule
	backend  *plan.Backend
	fail     *config.Failure
	redirect *redirect.Redirect
	// response are the layers that change the answer, a redirect too.
	response []layer.Response
	// preflight is the answer to a browser that asks before it makes a request.
	preflight *cors.Answer
	cluster   *plan.Cluster
	stay      stay
}

// decide finds out where a request goes. It is the same for all versions of HTTP. connect tells that a CONNECT was routed by the sidecar
// that sent it; others go only where a route names the method.
func decide(d *plan.Destination, req *msg.Request, connect bool, random route.Random) (decision, error) {
	if string(req.Method) == "CONNECT" {
		if d.Routes != nil {
			connect = d.Routes.Connect(req) != nil
		}
		if !connect {
			return decision{}, unmatched(d, req, fail.Connect)
		}
	}
	if d.Routes == nil {
		to := decision{cluster: d.Cluster}
		to.atCluster(req)
		return to, nil
	}
	rule := d.Routes.Match(req)
	if rule == nil {
		return decision{}, unmatched(d, req, fail.NoRoute)
	}
	to := decision{rule: rule}
	if to.fail = rule.Action.Fail; to.fail != nil {
		return to, nil
	}
	var shared *cors.Answer
	if rule.CORS != nil {
		answer, preflight := rule.CORS.Check(req)
		if preflight {
			to.preflight = answer
			return to, nil
		}
		shared = answer
	}
	if to.redirect, to.response = rule.Redirect, share(rule.Response, shared); to.redirect != nil {
		return to, nil
	}
	b := rule.Choose(random)
	if p := rule.Persistence; p != nil && p.Covers(req) {
		to.stay.policy = p
		if place, ok := p.Find(req, time.Now()); ok {
			if at := d.At(rule, place); at != nil {
				b, to.stay.place = at, place
			}
		}
	}
	if b == nil {
		return to, &fail.Error{Kind: fail.BadBackend}
	}
	to.backend, to.fail, to.redirect, to.response = b, b.Fail, b.Redirect, share(b.Response, shared)
	to.cluster = d.Lookup(b.Cluster)
	if to.fail == nil && to.redirect == nil && to.cluster != nil {
		to.fail = to.cluster.Config.Fail
	}
	to.atCluster(req)
	return to, nil
}

// atCluster finds the session that a request has at its cluster, where no rule keeps sessions.
func (to *decision) atCluster(req *msg.Request) {
	if to.cluster == nil || to.rule != nil && to.rule.Persistence != nil {
		return
	}
	p := to.cluster.Persistence
	if p == nil || !p.Covers(req) {
		return
	}
	to.stay.policy = p
	if place, ok := p.Find(req, time.Now()); ok {
		to.stay.place = place
	}
}

// within puts the layers of a rule in front of those that the listener's filters have made, which change the answer after it.
func within(early, layers []layer.Response) []layer.Response {
	if len(early) == 0 {
		return layers
	}
	return slices.Concat(layers, early)
}

// allow adds what an authorization server wants of the answer to the layers, in front of those that are early.
func allow(v *externalauth.Verdict, layers []layer.Response, early int) []layer.Response {
	if !v.Responds() {
		return layers
	}
	return slices.Insert(slices.Clip(layers), len(layers)-early, layer.Response(v))
}

// share adds what a browser is told to the layers of responses; it has the last word.
func share(layers []layer.Response, a *cors.Answer) []layer.Response {
	if a == nil {
		return layers
	}
	return append(slices.Clip(layers), a)
}

// unmatched is the failure of a request that no rule takes. Where hosts are registered, it says which XBackend would take it.
func unmatched(d *plan.Destination, req *msg.Request, kind fail.Kind) error {
	if !d.ByName || d.Routes.Match(req) != nil {
		return &fail.Error{Kind: kind}
	}
	return &fail.Error{Kind: fail.NotRegistered, Detail: fmt.Sprintf(
		"the Mesh lets sidecars reach Services, pods and what XBackends of their namespace register: "+
			"one with type ExternalHostname, the name in %.300q as externalHostname.hostname and port.number %d would permit this request",
		req.Authority, d.Address.Port())}
}

// refused tells of a request that failed for its host.
func (c *Conn) refused(err error, req *msg.Request) {
	if fail.KindOf(err) == fail.NotRegistered && c.Unregistered != nil {
		c.Unregistered(req.Authority)
	}
}
