package graph

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// maxWeight is the largest weight that the API allows.
const maxWeight = 1_000_000

// backends compiles the backendRefs of a rule. A reference that cannot be followed keeps its weight and fails its share of
// the requests.
func (c *ruleCompiler) backends(in []gatewayv1.HTTPBackendRef) []mesh.Backend {
	var out []mesh.Backend
	for i, ref := range in {
		where := fmt.Sprintf("backendRefs[%d]", i)
		reject := func(p status.Problem) { c.reject(p.In(where)) }
		to, wrong := c.refs.backend(ref.BackendObjectReference, c.from())
		backend := mesh.Backend{
			Service: to,
			Weight:  weightOf(ref.Weight, reject),
			Filters: c.backendFilters(ref.Filters, reject),
		}
		if wrong != nil {
			located := wrong.In(where).In(c.label)
			c.references = append(c.references, located)
			backend.Fail = &mesh.Failure{Status: failStatus, Reason: located.Reason, Message: located.Text}
		}
		out = append(out, backend)
	}
	return out
}

func weightOf(weight *int32, reject func(status.Problem)) uint32 {
	if weight == nil {
		return 1
	}
	if *weight < 0 || *weight > maxWeight {
		reject(status.Unsupported("weight %d: use 0 to %d", *weight, maxWeight))
		return 0
	}
	return uint32(*weight)
}

// backendFilters are those of a rule but for two that cannot wait until a backend is chosen.
func (c *ruleCompiler) backendFilters(in []gatewayv1.HTTPRouteFilter, reject func(status.Problem)) mesh.Filters {
	out := c.filters(in, reject)
	if out.CORS != nil {
		reject(status.Unsupported("filter CORS is not supported at a backend: move it to the rule"))
	}
	if out.ExternalAuth != nil {
		reject(status.Unsupported("filter ExternalAuth is not supported at a backend: move it to the rule"))
	}
	return out
}
