package graph

import (
	"fmt"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// compileSplit reads the backends of a route for connections or datagrams. A reference that cannot be followed keeps its weight, and
// its share of the connections is refused (TCPRouteRule, "backendRefs").
func compileSplit(r *route, as role, refs *references) *ruleSet {
	set := &ruleSet{rules: 1, split: &mesh.Split{Origin: mesh.Origin{
		Kind: r.kind, Namespace: r.name.Namespace, Name: r.name.Name, Generation: r.generation,
	}}}
	for i, ref := range r.backends {
		where := fmt.Sprintf("backendRefs[%d]", i)
		reject := func(p status.Problem) { set.problems = append(set.problems, p.In(where)) }
		to, wrong := refs.backend(ref.BackendObjectReference, from{r.kind, r.name.Namespace, as})
		backend := mesh.SplitBackend{Service: to, Weight: weightOf(ref.Weight, reject)}
		if wrong != nil {
			located := wrong.In(where)
			set.references = append(set.references, located)
			backend.Fail = &mesh.Failure{Status: failStatus, Reason: located.Reason, Message: located.Text}
		}
		set.split.Backends = append(set.split.Backends, backend)
	}
	if len(set.problems) > 0 {
		set.invalid = 1
		first := set.problems[0]
		for i := range set.split.Backends {
			set.split.Backends[i].Fail = &mesh.Failure{Status: failStatus, Reason: first.Reason, Message: first.Text}
		}
	}
	return set
}
