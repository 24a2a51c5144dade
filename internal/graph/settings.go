package graph

import (
	"cmp"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

// DefaultTrustDomain is the trust domain of a mesh that names none.
const DefaultTrustDomain = "cluster.local"

// settingsOf reads the Mesh object; m is nil when there is none yet. Modes that this version does not know are taken as
// their default: the API server refuses them, and a proxy must always have a mode.
func settingsOf(m *v1alpha1.Mesh, opts Options) mesh.Settings {
	out := mesh.Settings{
		TrustDomain: cmp.Or(opts.TrustDomain, DefaultTrustDomain),
		MTLS:        mesh.MTLSPermissive,
		Outbound:    mesh.OutboundAllow,
		SessionKey:  opts.SessionKey,
	}
	if m == nil {
		return out
	}
	out.Origin = mesh.Origin{Kind: "Mesh", Name: m.Name, Generation: m.Generation}
	out.TrustDomain = cmp.Or(m.Spec.TrustDomain, out.TrustDomain)
	out.AccessLog = m.Spec.Proxy.AccessLog
	if m.Spec.MTLS.Mode == v1alpha1.MTLSStrict {
		out.MTLS = mesh.MTLSStrict
	}
	switch m.Spec.Outbound.Policy {
	case v1alpha1.OutboundDeny:
		out.Outbound = mesh.OutboundDeny
	case v1alpha1.OutboundRegistryOnly:
		out.Outbound = mesh.OutboundRegistryOnly
	case v1alpha1.OutboundAllow:
	}
	return out
}
