package server

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
)

// BenchmarkPublish is what one new mesh costs with 1,000 proxies that use 20 Services each and are concerned by one change.
// "all new" shares nothing with its predecessor, "endpoints" everything but the endpoints of one Service.
func BenchmarkPublish(b *testing.B) {
	var words []string
	for i := range 20 {
		words = append(words, fmt.Sprintf("%c>%c", 'a'+i, 'a'+i))
	}
	v := (&view{cache: map[cacheKey]*answer{}}).next(script(words))
	sessions := make([]*session, 1000)
	for i := range sessions {
		s := newSession(mesh.Name{Namespace: "shop", Name: fmt.Sprint(i)}, Limits{}.withDefaults())
		s.adopt(v)
		for j := range 20 {
			cluster := fmt.Sprintf("shop/%c:80", 'a'+j)
			for typeURL, name := range map[string]string{
				xds.ListenerType: fmt.Sprintf("outbound/10.96.0.%d:80", j), xds.RouteType: cluster, xds.ClusterType: cluster, xds.EndpointType: cluster,
			} {
				if _, err := s.request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: []string{name}}); err != nil {
					b.Fatal(err)
				}
			}
		}
		for s.next() != nil {
		}
		sessions[i] = s
	}
	sp := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: "a"}, Port: 80}
	changed := func(m *mesh.Mesh, n int) *mesh.Mesh {
		next := *m
		next.Endpoints = map[mesh.ServicePort][]mesh.Endpoint{}
		for k, list := range m.Endpoints {
			next.Endpoints[k] = list
		}
		list := append([]mesh.Endpoint(nil), m.Endpoints[sp]...)
		list[0].Zone = fmt.Sprint(n)
		next.Endpoints[sp] = list
		return &next
	}
	for name, next := range map[string]func(n int) *mesh.Mesh{
		"all new":   func(n int) *mesh.Mesh { return changed(script(words), n) },
		"endpoints": func(n int) *mesh.Mesh { return changed(v.mesh, n) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				v = v.next(next(n))
				for _, s := range sessions {
					s.adopt(v)
					if r := s.next(); len(r.GetResources()) != 1 || s.next() != nil {
						b.Fatalf("%v", r)
					}
				}
			}
		})
	}
}
