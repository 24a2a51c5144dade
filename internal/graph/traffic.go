package graph

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/status"
)

// trafficPolicy is one XBackendTrafficPolicy.
type trafficPolicy struct {
	name   mesh.Name
	object *xv1alpha1.XBackendTrafficPolicy
	budget *mesh.RetryBudget
	// invalid is what is wrong with it; such a policy has no effect.
	invalid []status.Problem
	// refused says why a target is not the policy's, by its place in targetRefs.
	refused map[int]status.Problem
}

// trafficPolicies are all of them, the older first.
type trafficPolicies []*trafficPolicy

// trafficPoliciesOf reads the XBackendTrafficPolicies and puts them onto the ports of their Services. Of two for the same Service the
// older one has it (GEP-713, "Conflict Resolution").
func trafficPoliciesOf(in map[mesh.Name]*xv1alpha1.XBackendTrafficPolicy, services map[mesh.Name]*mesh.Service) trafficPolicies {
	var all trafficPolicies
	for name, object := range in {
		p := &trafficPolicy{name: name, object: object, refused: map[int]status.Problem{}}
		reject := func(problem status.Problem) { p.invalid = append(p.invalid, problem) }
		p.budget = retryBudget(object.Spec.RetryConstraint, reject)
		_ = p.persistence("", reject) // once for what is wrong with it, whatever its targets
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *trafficPolicy) int {
		return cmp.Or(a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time), compareNames(a.name, b.name))
	})
	owners := map[mesh.Name]*trafficPolicy{}
	for _, p := range all {
		for i, ref := range p.object.Spec.TargetRefs {
			service := mesh.Name{Namespace: p.name.Namespace, Name: string(ref.Name)}
			if ref.Group != "" || ref.Kind != "Service" {
				p.refused[i] = status.Why(status.ReasonTargetNotFound, "%s %q cannot be a target: refer to a Service", kindOf(string(ref.Group), string(ref.Kind)), ref.Name)
				continue
			}
			p.take(i, service, services[service], owners)
		}
	}
	return all
}

// take gives a Service to the policy, or says why not.
func (p *trafficPolicy) take(i int, name mesh.Name, svc *mesh.Service, owners map[mesh.Name]*trafficPolicy) {
	switch owner := owners[name]; {
	case svc == nil:
		p.refused[i] = status.Why(status.ReasonTargetNotFound, "there is no Service %s with addresses in the mesh: create it or correct the targetRef", name)
		return
	case len(p.invalid) > 0:
		return
	case owner != nil:
		p.refused[i] = status.Why(status.ReasonConflicted, "XBackendTrafficPolicy %s, which is older, has the same target: remove one of them", owner.name)
		return
	}
	owners[name] = p
	for i := range svc.Ports {
		port := &svc.Ports[i]
		if port.UDP {
			continue
		}
		port.RetryBudget = p.budget
		port.Persistence = p.persistence(fmt.Sprintf("Service/%s:%d", name, port.Number), func(status.Problem) {})
	}
}

// persistence reads the policy's for one owner of sessions; nil for none.
func (p *trafficPolicy) persistence(owner string, reject func(status.Problem)) *mesh.Persistence {
	return persistence(p.object.Spec.SessionPersistence, owner, reject) //nolint:staticcheck // deprecated (GEP-4894), but there
}

// The defaults and bounds of the API (RetryConstraint, BudgetDetails, RequestRate).
const (
	defaultRetryPercent  = 20
	defaultRetryInterval = 10 * time.Second
	defaultMinRetries    = 10
	defaultMinInterval   = time.Second
	maxMinRetries        = 1_000_000
	maxRetryInterval     = time.Hour
)

// retryBudget reads a RetryConstraint; nil for nil.
func retryBudget(in *xv1alpha1.RetryConstraint, reject func(status.Problem)) *mesh.RetryBudget {
	if in == nil {
		return nil
	}
	out := &mesh.RetryBudget{
		Percent: defaultRetryPercent, Interval: defaultRetryInterval, MinRetries: defaultMinRetries, MinInterval: defaultMinInterval,
	}
	interval := func(field string, text *gatewayv1.Duration, least time.Duration, to *time.Duration) {
		if text == nil {
			return
		}
		d, err := parseDuration(string(*text))
		switch {
		case err != nil:
			reject(status.Why(status.ReasonInvalid, "%s: %v", field, err))
		case d < least || d > maxRetryInterval:
			reject(status.Why(status.ReasonInvalid, "%s is %s: use %s to %s", field, d, least, maxRetryInterval))
		}
		*to = d
	}
	if b := in.Budget; b != nil {
		if b.Percent != nil && (*b.Percent < 0 || *b.Percent > 100) {
			reject(status.Why(status.ReasonInvalid, "retryConstraint.budget.percent is %d: use 0 to 100", *b.Percent))
		} else if b.Percent != nil {
			out.Percent = uint32(*b.Percent)
		}
		interval("retryConstraint.budget.interval", b.Interval, time.Second, &out.Interval)
	}
	if m := in.MinRetryRate; m != nil {
		if m.Count != nil && (*m.Count < 1 || *m.Count > maxMinRetries) {
			reject(status.Why(status.ReasonInvalid, "retryConstraint.minRetryRate.count is %d: use 1 to %d", *m.Count, maxMinRetries))
		} else if m.Count != nil {
			out.MinRetries = uint32(*m.Count)
		}
		interval("retryConstraint.minRetryRate.interval", m.Interval, time.Millisecond, &out.MinInterval)
	}
	return out
}

// wants is the status of all policies. The ancestors of one are its targets: it applies to all clients of a Service in the mesh, and to
// all gateways.
func (all trafficPolicies) wants() []status.Want {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *trafficPolicy) int { return compareNames(a.name, b.name) })
	out := make([]status.Want, 0, len(sorted))
	for _, p := range sorted {
		want := status.Want{Kind: "XBackendTrafficPolicy", Name: p.name, Generation: p.object.Generation}
		for i, ref := range p.object.Spec.TargetRefs[:min(len(p.object.Spec.TargetRefs), maxAncestors)] {
			accepted := status.True(status.TypeAccepted, status.ReasonAccepted, "The policy is in effect for requests to the Service")
			if problem, refused := p.refused[i]; refused {
				accepted = status.Because(status.TypeAccepted, []status.Problem{problem})
			} else if len(p.invalid) > 0 {
				accepted = status.Because(status.TypeAccepted, p.invalid)
				accepted.Reason = status.ReasonInvalid
				accepted.Message += ". The policy has no effect"
			}
			want.Parents = append(want.Parents, status.Parent{
				Ref:        status.ParentRef{Group: string(ref.Group), Kind: string(ref.Kind), Namespace: p.name.Namespace, Name: string(ref.Name)},
				Conditions: []status.Condition{accepted},
			})
		}
		out = append(out, want)
	}
	return out
}
