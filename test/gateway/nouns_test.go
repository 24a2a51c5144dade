package gateway

import (
	"github.com/leno-mesh/leno/internal/mesh"
)

// to is a table that sends everything to backends, each with weight 1.
func to(backends ...mesh.ServicePort) *mesh.RouteTable {
	rule := &mesh.Rule{Origin: mesh.Origin{Kind: "HTTPRoute", Namespace: "shop", Name: "route", Rule: "0"}}
	for _, sp := range backends {
		rule.Backends = append(rule.Backends, mesh.Backend{Service: sp, Weight: 1})
	}
	return &mesh.RouteTable{Entries: []mesh.Entry{{Rule: rule}}}
}

func does(rule mesh.Rule) *mesh.RouteTable {
	return &mesh.RouteTable{Entries: []mesh.Entry{{Rule: &rule}}}
}

func host(name string, routes *mesh.RouteTable) mesh.Host {
	return mesh.Host{Name: name, Routes: routes}
}

func split(backends ...mesh.SplitBackend) *mesh.Split {
	return &mesh.Split{Origin: mesh.Origin{Kind: "TCPRoute", Namespace: "shop", Name: "split"}, Backends: backends}
}

func share(sp mesh.ServicePort, weight uint32) mesh.SplitBackend {
	return mesh.SplitBackend{Service: sp, Weight: weight}
}

// missing is a share of a backend that is not there.
func missing(weight uint32) mesh.SplitBackend {
	return mesh.SplitBackend{
		Service: mesh.ServicePort{Name: mesh.Name{Namespace: "shop", Name: "missing"}, Port: 80}, Weight: weight,
		Fail: &mesh.Failure{Status: 500, Reason: "BackendNotFound"},
	}
}

func plainHTTP(port uint16, hosts ...mesh.Host) mesh.GatewayPort {
	return mesh.GatewayPort{Number: port, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerHTTP, Hosts: hosts}}}
}

func plainTCP(port uint16, s *mesh.Split) mesh.GatewayPort {
	return mesh.GatewayPort{Number: port, Listeners: []*mesh.Listener{{Protocol: mesh.ListenerTCP, Split: s}}}
}

func https(hostname string, c *mesh.Certificate, hosts ...mesh.Host) *mesh.Listener {
	return &mesh.Listener{
		Protocol: mesh.ListenerHTTPS, Hostname: hostname, Hosts: hosts, TLS: &mesh.Termination{Certificates: []*mesh.Certificate{c}},
	}
}

func named(name string, s *mesh.Split) mesh.Server {
	return mesh.Server{Name: name, Split: s}
}
