package xds_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
)

// big has n services with 5 rules and 10 endpoints each.
func big(n int) *mesh.Mesh {
	m := &mesh.Mesh{
		Services: map[mesh.Name]*mesh.Service{}, Workloads: map[mesh.Name]*mesh.Workload{},
		Frontends: map[netip.AddrPort]mesh.ServicePort{}, WorkloadByIP: map[netip.Addr]mesh.Name{},
		Endpoints: map[mesh.ServicePort][]mesh.Endpoint{},
	}
	for i := range n {
		sp := mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: fmt.Sprintf("svc-%d", i)}, Port: 80}
		vip := netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})
		table := &mesh.RouteTable{}
		for r := range 5 {
			rule := &mesh.Rule{
				Origin:   mesh.Origin{Kind: "HTTPRoute", Namespace: "shop", Name: sp.Name.Name, Rule: fmt.Sprint(r), Generation: 1},
				Backends: []mesh.Backend{{Service: sp, Weight: 90}, {Service: sp, Weight: 10}},
			}
			table.Entries = append(table.Entries, mesh.Entry{Rule: rule, Match: mesh.Match{
				Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: fmt.Sprintf("/v%d", r)}, Headers: []mesh.ValueMatch{{Name: "x-canary", Value: "yes"}},
			}})
		}
		m.Services[sp.Name] = &mesh.Service{Name: sp.Name, Addresses: []netip.Addr{vip}, Ports: []mesh.Port{{Number: 80, Protocol: mesh.ProtocolHTTP, Routes: table}}}
		m.Frontends[netip.AddrPortFrom(vip, 80)] = sp
		for e := range 10 {
			pod := mesh.Name{Namespace: "shop", Name: fmt.Sprintf("%s-%d", sp.Name.Name, e)}
			m.Workloads[pod] = &mesh.Workload{Name: pod, Owner: sp.Name.Name, Identity: cartID, Injected: true}
			address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(128 + e), byte(i >> 8), byte(i)}), 8080)
			m.Endpoints[sp] = append(m.Endpoints[sp], mesh.Endpoint{Address: address, Ready: true, Serving: true, Workload: pod, Identity: cartID, Zone: "a"})
		}
	}
	return m
}

func BenchmarkTranslate(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		m := big(n)
		for typeURL, name := range map[string]string{
			xds.ListenerType: "outbound/10.96.0.7:80", xds.RouteType: "shop/svc-7:80",
			xds.ClusterType: "shop/svc-7:80", xds.EndpointType: "shop/svc-7:80",
		} {
			b.Run(fmt.Sprintf("services=%d/%s", n, typeURL[len("type.googleapis.com/"):]), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := xds.Translate(m, web, typeURL, name); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkEverything is what a control plane pays when every service is used by somebody and all of it is made anew.
func BenchmarkEverything(b *testing.B) {
	const n = 1000
	m := big(n)
	b.ReportAllocs()
	for b.Loop() {
		for dst, sp := range m.Frontends {
			name := xds.ClusterName(sp)
			for typeURL, name := range map[string]string{
				xds.ListenerType: xds.ListenerName(dst), xds.RouteType: name, xds.ClusterType: name, xds.EndpointType: name,
			} {
				if _, err := xds.Translate(m, web, typeURL, name); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	m := big(1000)
	for typeURL, name := range map[string]string{
		xds.ListenerType: "outbound/10.96.0.7:80", xds.RouteType: "shop/svc-7:80",
		xds.ClusterType: "shop/svc-7:80", xds.EndpointType: "shop/svc-7:80",
	} {
		r, err := xds.Translate(m, web, typeURL, name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(typeURL[len("type.googleapis.com/"):], func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(r.Body)))
			for b.Loop() {
				if _, err := config.Decode(typeURL, name, r.Version, r.Body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
