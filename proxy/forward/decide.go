package forward

import (
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/proxy/fail"
	"github.com/leno-mesh/leno/proxy/layer"
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
	// response are the layers for a redirect.
	response []layer.Response
	cluster  *plan.Cluster
}

// decide finds out where a request goes. It is the same for all versions of HTTP. connect tells that a CONNECT was routed by the sidecar
// that sent it; others go only where a route names the method.
func decide(d *plan.Destination, req *msg.Request, connect bool, random route.Random) (decision, error) {
	if string(req.Method) == "CONNECT" {
		if d.Routes != nil {
			connect = d.Routes.Connect(req) != nil
		}
		if !connect {
			return decision{}, &fail.Error{Kind: fail.Connect}
		}
	}
	if d.Routes == nil {
		return decision{cluster: d.Cluster}, nil
	}
	rule := d.Routes.Match(req)
	if rule == nil {
		return decision{}, &fail.Error{Kind: fail.NoRoute}
	}
	to := decision{rule: rule}
	if to.fail = rule.Action.Fail; to.fail != nil {
		return to, nil
	}
	if to.redirect, to.response = rule.Redirect, rule.Response; to.redirect != nil {
		return to, nil
	}
	b := rule.Choose(random)
	if b == nil {
		return to, &fail.Error{Kind: fail.BadBackend}
	}
	to.backend, to.fail, to.redirect, to.response = b, b.Fail, b.Redirect, b.Response
	to.cluster = d.Lookup(b.Cluster)
	if to.fail == nil && to.redirect == nil && to.cluster != nil {
		to.fail = to.cluster.Config.Fail
	}
	return to, nil
}
