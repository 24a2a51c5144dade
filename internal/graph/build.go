// Package graph turns the state of a cluster into the mesh, and into the status that the cluster's objects should show.
// Everything in it is a function of its arguments.
package graph

import (
	"slices"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// Options are what the cluster's objects do not say.
type Options struct {
	// TrustDomain is used when no Mesh object names one; "" is DefaultTrustDomain.
	TrustDomain string
	// SessionKey is that of mesh.Settings.
	SessionKey mesh.SessionKey
}

// Result is what the cluster means.
type Result struct {
	Mesh *mesh.Mesh
	// Status has one entry for each route there is, and for each GatewayClass, Gateway and ListenerSet that is Leno's, and for
	// each policy, by kind and name. An entry of a route or policy without parents says that nothing of Leno's should be in its status.
	Status []status.Want
}

// Build reads the whole cluster. Objects that are wrong change nothing for others: the wrong part is in the Mesh as a
// failure or not at all, and its status says why.
func Build(s *snapshot.Snapshot, opts Options) Result {
	settings := settingsOf(s.Mesh(), opts)
	services := servicesOf(s.Services)
	workloads := workloadsOf(s, settings.TrustDomain)
	byIP := addressesOf(workloads, s.Pods)
	e := &endpoints{snapshot: s, workloads: workloads, byIP: byIP}
	refs := newReferences(s)
	refs.tls = tlsPoliciesOf(s.BackendTLS, refs)
	refs.tls.publish(services)
	refs.xbackends = xbackendsOf(s.XBackends, settings.TrustDomain, refs)
	traffic := trafficPoliciesOf(s.BackendTraffic, services)
	gateways := gatewaysOf(s, refs)
	a := &attachment{snapshot: s, refs: refs, services: services, gateways: gateways, tables: tables{}}
	wants := a.attach(routesOf(s))
	xbackends := servicesOfXBackends(refs.xbackends)
	m := &mesh.Mesh{
		Settings:     settings,
		Services:     services,
		XBackends:    xbackends,
		Registered:   registeredOf(xbackends, settings.Outbound),
		Gateways:     gateways.mesh(settings.TrustDomain),
		Workloads:    workloads,
		Frontends:    frontendsOf(services),
		WorkloadByIP: byIP,
		Endpoints:    e.all(services),
	}
	all := slices.Concat(wants, gateways.wants(m.Endpoints), refs.tls.wants(gateways), traffic.wants(), xbackendWants(refs.xbackends, a))
	tellUnknown(all, s.Unknown)
	return Result{Mesh: m, Status: all}
}
