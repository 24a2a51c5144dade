package graph

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// filterRequests compiles what is asked before routes are matched (GEP-5224). A filter is never skipped: one that is not valid rejects
// the listener, one that refers to nobody closes it.
func (l *listener) filterRequests(refs *references) {
	if l.spec.Filters == nil || len(l.spec.Filters.Requests) == 0 {
		return
	}
	if l.spec.Protocol != gatewayv1.HTTPProtocolType && l.spec.Protocol != gatewayv1.HTTPSProtocolType {
		l.refuseFilter(status.Why(status.ReasonInvalidListenerFilter, "filters are for listeners of HTTP and HTTPS, not for %s: remove them", l.spec.Protocol))
		return
	}
	for i, f := range l.spec.Filters.Requests {
		where := fmt.Sprintf("filters.requests[%d]", i)
		switch f.Type {
		case gatewayv1.ListenerFilterExternalAuth:
			l.askBefore(f.ExternalAuth, where, refs)
		default:
			l.refuseFilter(status.Unsupported("filter %.40s is not supported: remove it", f.Type).In(where))
		}
	}
}

// refuseFilter rejects the listener, if nothing else has.
func (l *listener) refuseFilter(p status.Problem) {
	if l.rejected == nil {
		l.rejected, l.closed = &p, &p
	}
}

// shut tells that a listener is not accepted because of its filters. It keeps its host name: were requests for that left to a listener
// with a wider name, they would pass without having been asked about.
func (l *listener) shut() bool {
	return l.rejected != nil && l.rejected == l.closed && l.conflict == nil
}

// askBefore adds an authorization server to those that are asked.
func (l *listener) askBefore(in *gatewayv1.HTTPExternalAuthFilter, where string, refs *references) {
	reject := func(p status.Problem) {
		p.Reason = status.ReasonInvalidListenerFilter
		l.refuseFilter(p.In(where))
	}
	by := from{l.owner.kind, l.owner.name.Namespace, roleGateway}
	auth, wrong := refs.externalAuth(in, by, reject)
	switch {
	case auth == nil:
		reject(status.Unsupported("filter ExternalAuth has no settings: write the field externalAuth"))
	case wrong != nil:
		if wrong.Reason != status.ReasonRefNotPermitted {
			wrong.Reason = status.ReasonInvalidListenerFilterRef
		}
		located := wrong.In(where)
		l.unresolved = append(l.unresolved, located)
		if l.closed == nil {
			l.closed = &located
		}
	default:
		l.filters = append(l.filters, auth)
	}
}

// httpHosts are the hosts of an HTTP listener that mine holds for.
func (l *listener) httpHosts(mine func(string) bool) []mesh.Host {
	if l.closed != nil {
		return []mesh.Host{{Name: l.hostname, Routes: failAll(l.origin(), mesh.Failure{Status: failStatus, Reason: l.closed.Reason, Message: l.closed.Text})}}
	}
	var out []mesh.Host
	for _, host := range hostTables(l.hostname, l.attached) {
		if mine(host.Name) {
			host.Filters = l.filters
			out = append(out, host)
		}
	}
	return out
}
