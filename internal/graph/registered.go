package graph

import (
	"cmp"
	"slices"

	"github.com/leno-mesh/leno/internal/mesh"
)

// registeredOf lists the hosts that sidecars may reach by name, where the policy lets them; nil elsewhere. Of two XBackends for one host
// and port the first by name has it. A host whose protocol is TCP is not among them: nothing in its connections names it.
func registeredOf(xbackends map[mesh.Name]*mesh.Service, policy mesh.OutboundPolicy) map[mesh.Registry][]mesh.ServicePort {
	if policy != mesh.OutboundRegistryOnly {
		return nil
	}
	out := map[mesh.Registry][]mesh.ServicePort{}
	for name, s := range xbackends {
		port := s.Ports[0]
		if port.Protocol == mesh.ProtocolTCP {
			continue
		}
		at := mesh.Registry{Namespace: name.Namespace, Port: port.Number}
		out[at] = append(out[at], mesh.ServicePort{Name: name, Port: port.Number, XBackend: true})
	}
	host := func(p mesh.ServicePort) string { return xbackends[p.Name].Ports[0].Hostname }
	for at, list := range out {
		slices.SortFunc(list, func(a, b mesh.ServicePort) int {
			return cmp.Or(cmp.Compare(host(a), host(b)), cmp.Compare(a.Name.Name, b.Name.Name))
		})
		out[at] = slices.CompactFunc(list, func(a, b mesh.ServicePort) bool { return host(a) == host(b) })
	}
	return out
}
