// Package local does for a set of manifests what a cluster's controllers, scheduler and kubelet would do, for one machine
// without a cluster: Deployments become pods, Services get addresses, and both get EndpointSlices. All addresses are in
// 127.0.0.0/8 and follow from names, so they are the same in each run. The package starts nothing: it is a function from
// objects to objects.
//
// Nothing redirects connections on such a machine. So each pod has, for every Service, an address of its own at which
// its sidecar listens ([Alias]); whoever connects there is treated as if it had dialled the Service's address.
package local

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
)

// RunAnnotation of a pod template is the command that stands for the container, run by /bin/sh.
const RunAnnotation = "mesh.leno.dev/run"

// You is the name of the pod, one in each namespace with Services, through whose sidecar a person at the keyboard enters
// the mesh: it listens on the addresses of the Services themselves.
const You = "you"

// NodeName is the one node.
const NodeName = "local"

// shift is added to ports that may not be bound.
const shift = 8000

// Options are what the machine allows.
type Options struct {
	// LowestPort is the lowest port that may be bound; lower ones are served 8000 higher.
	LowestPort uint16
	// AllDeployments plans pods also for Deployments without a command, for those who run nothing.
	AllDeployments bool
	// Salt gives other addresses to the same names, so that several runs have room on one machine.
	Salt string
}

// Served is the port to bind and to dial in place of port.
func (o Options) Served(port uint16) uint16 {
	if port < o.LowestPort {
		return port + shift
	}
	return port
}

func (o Options) served(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), o.Served(a.Port()))
}

// Plan is what is to run, and where. It is immutable.
type Plan struct {
	Options  Options
	Pods     []*Pod     // by name, those of You included
	Services []*Service // by name
	Gateways []*Gateway // by name
	// Notes tell what of the manifests is not run, and why.
	Notes []string

	namespaces []*corev1.Namespace
	rest       []snapshot.Object // what is handed on as it is
}

// Pod is one pod: a command and its sidecar.
type Pod struct {
	mesh.Name
	// Owner is the Deployment, empty for You.
	Owner string
	// Gateway is the one whose proxy the pod is; nil for others.
	Gateway        *Gateway
	ServiceAccount string
	Labels         map[string]string
	// Command for /bin/sh; empty for You and gateways.
	Command string
	// Env of the command, as NAME=value.
	Env []string
	// IP is the pod's address: its sidecar listens there. App is where the command itself listens.
	IP, App netip.Addr
	// Ports that the sidecar receives on, ascending, as the manifests name them.
	Ports []uint16
	// Aliases by Service and port.
	Aliases []Alias

	template corev1.PodTemplateSpec
}

// Alias is an address at which a pod's sidecar takes connections for a Service.
type Alias struct {
	Service  mesh.ServicePort
	Listen   netip.AddrPort
	Original netip.AddrPort // the address of the Service
}

// Service is one Service with the address it was given.
type Service struct {
	mesh.Name
	// IP is invalid for headless Services.
	IP    netip.Addr
	Ports []uint16

	object *corev1.Service
}

// New plans for the objects of some manifests. Deployments are taken apart; everything else that a snapshot holds is
// handed on.
func New(objects []Object, options Options) *Plan {
	s := sort(objects)
	p := &Plan{Options: options, Notes: s.notes, rest: withClass(s.rest), namespaces: s.allNamespaces()}
	addresses := newAllocator(options.Salt)
	p.Services = planServices(s.services, addresses)
	for _, d := range s.deployments {
		pods, note := podsOf(d, addresses, options)
		p.Pods = append(p.Pods, pods...)
		if note != "" {
			p.Notes = append(p.Notes, note)
		}
	}
	p.Pods = append(p.Pods, visitors(p.Services, addresses)...)
	p.Gateways = planGateways(p.rest, addresses)
	for _, g := range p.Gateways {
		p.Pods = append(p.Pods, g.Pod)
	}
	slices.SortFunc(p.Pods, func(a, b *Pod) int { return compareNames(a.Name, b.Name) })
	for _, pod := range p.Pods {
		pod.Ports = portsOf(pod, p.Services)
		pod.Aliases = aliasesOf(pod, p.Services, addresses, options)
		pod.Env = environment(pod, p.Services, options)
	}
	slices.Sort(p.Notes)
	return p
}

// Pod finds a pod by name, nil if it is not planned.
func (p *Plan) Pod(name mesh.Name) *Pod {
	for _, pod := range p.Pods {
		if pod.Name == name {
			return pod
		}
	}
	return nil
}

// Gateway finds a Gateway by name, nil if it is not planned.
func (p *Plan) Gateway(name mesh.Name) *Gateway {
	for _, g := range p.Gateways {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// Runs tells whether the pod has a command: You and gateways have none.
func (p *Pod) Runs() bool { return p.Command != "" }

func compareNames(a, b mesh.Name) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}
