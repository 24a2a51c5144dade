// Package sidecar is the proxy of a pod that runs without a cluster: the same proxy, with listeners at the addresses of a
// local.Plan where a cluster has captured connections. Its parent tells it what to do by lines on its standard input, and
// when that ends, so does the sidecar.
package sidecar

import (
	"net/netip"

	"github.com/leno-mesh/leno/internal/local"
)

// Spec is what a sidecar is told, as one line of JSON. Only Inbound and Outbound may differ in later lines.
type Spec struct {
	Namespace      string `json:"namespace"`
	Pod            string `json:"pod"`
	ServiceAccount string `json:"serviceAccount"`
	TrustDomain    string `json:"trustDomain"`
	// Manager is where the control plane listens; Roots (PEM) and Token are what a pod finds in its volumes.
	Manager string `json:"manager"`
	Roots   string `json:"roots"`
	Token   string `json:"token"`
	// IP is the pod's address, App where its command listens.
	IP         netip.Addr `json:"ip"`
	App        netip.Addr `json:"app"`
	LowestPort uint16     `json:"lowestPort"`
	LogLevel   string     `json:"logLevel"`
	// Gateway is where the proxy of a gateway opens its ports; the zero Addr: it is a sidecar.
	Gateway  netip.Addr `json:"gateway,omitzero"`
	Inbound  []Listen   `json:"inbound"`
	Outbound []Listen   `json:"outbound"`
}

// Listen is an address to listen at, and the original destination of what comes in there.
type Listen struct {
	At       netip.AddrPort `json:"at"`
	Original netip.AddrPort `json:"original"`
}

// For is the Spec of a planned pod, without what the control plane adds.
func For(p *local.Pod, options local.Options) Spec {
	s := Spec{
		Namespace: p.Namespace, Pod: p.Name.Name, ServiceAccount: p.ServiceAccount,
		IP: p.IP, App: p.App, LowestPort: options.LowestPort,
	}
	if p.Gateway != nil {
		s.Gateway = p.Gateway.IP
	}
	for _, alias := range p.Aliases {
		s.Outbound = append(s.Outbound, Listen{At: alias.Listen, Original: alias.Original})
	}
	for _, port := range p.Ports {
		s.Inbound = append(s.Inbound, Listen{
			At: netip.AddrPortFrom(p.IP, options.Served(port)), Original: netip.AddrPortFrom(p.IP, port),
		})
	}
	return s
}

// Target is the address to dial in place of one that the mesh speaks of: the command for the pod's own address, and the
// port that could be bound for every other pod and Service.
func (s Spec) Target(address netip.AddrPort) netip.AddrPort {
	options := local.Options{LowestPort: s.LowestPort}
	switch {
	case address.Addr() == s.IP:
		return netip.AddrPortFrom(s.App, options.Served(address.Port()))
	case local.IsPod(address.Addr()), local.IsService(address.Addr()):
		return netip.AddrPortFrom(address.Addr(), options.Served(address.Port()))
	default:
		return address
	}
}
