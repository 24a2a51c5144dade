package local

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/internal/mesh"
)

// podsOf makes the replicas of a Deployment. A changed template gives its pods other names: they are other pods.
func podsOf(d *appsv1.Deployment, addresses *allocator, options Options) (pods []*Pod, note string) {
	command := d.Spec.Template.Annotations[RunAnnotation]
	if command == "" && !options.AllDeployments {
		return nil, fmt.Sprintf("Deployment %s/%s is not run: give spec.template.metadata.annotations a %q with the command to run in its place",
			d.Namespace, d.Name, RunAnnotation)
	}
	replicas := int32(1)
	if d.Spec.Replicas != nil {
		replicas = *d.Spec.Replicas
	}
	hash := templateHash(d.Spec.Template)
	for i := range replicas {
		name := fmt.Sprintf("%s-%s-%d", d.Name, hash, i)
		account := d.Spec.Template.Spec.ServiceAccountName
		if account == "" {
			account = "default"
		}
		pods = append(pods, newPod(mesh.Name{Namespace: d.Namespace, Name: name}, addresses, func(p *Pod) {
			p.Owner, p.ServiceAccount, p.Command = d.Name, account, command
			p.Labels, p.template = d.Spec.Template.Labels, d.Spec.Template
		}))
	}
	return pods, ""
}

func newPod(name mesh.Name, addresses *allocator, fill func(*Pod)) *Pod {
	p := &Pod{Name: name, IP: addresses.next(podRange, name.String()), App: addresses.next(appRange, name.String())}
	fill(p)
	return p
}

// visitors are the pods of You.
func visitors(services []*Service, addresses *allocator) []*Pod {
	var pods []*Pod
	for i, s := range services {
		if i > 0 && services[i-1].Namespace == s.Namespace {
			continue
		}
		pods = append(pods, newPod(mesh.Name{Namespace: s.Namespace, Name: You}, addresses, func(p *Pod) {
			p.ServiceAccount = You
		}))
	}
	return pods
}

// templateHash is short, for names.
func templateHash(template corev1.PodTemplateSpec) string {
	text, err := json.Marshal(template)
	if err != nil {
		panic(fmt.Sprintf("local: a pod template that was read from text cannot be written: %v", err))
	}
	hash := fnv.New32a()
	_, _ = hash.Write(text) // never fails
	return fmt.Sprintf("%08x", hash.Sum32())[:5]
}

// portsOf is what the pod's containers declare and what Services send to it.
func portsOf(p *Pod, services []*Service) []uint16 {
	var ports []uint16
	for _, c := range p.template.Spec.Containers {
		for _, port := range c.Ports {
			if port.Protocol == "" || port.Protocol == corev1.ProtocolTCP {
				ports = append(ports, uint16(port.ContainerPort))
			}
		}
	}
	for _, s := range services {
		if !s.Selects(p) {
			continue
		}
		for _, port := range s.object.Spec.Ports {
			if target, found := targetPort(port, p); found {
				ports = append(ports, target)
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// aliasesOf gives the pod a way to each Service. You listens on the Services of its namespace themselves; gateways need none.
func aliasesOf(p *Pod, services []*Service, addresses *allocator, options Options) []Alias {
	var aliases []Alias
	for _, s := range services {
		if p.Gateway != nil || !s.IP.IsValid() || !p.Runs() && s.Namespace != p.Namespace {
			continue
		}
		address := s.IP
		if p.Runs() {
			address = addresses.next(aliasRange, p.String()+"|"+s.String())
		}
		for _, port := range s.Ports {
			aliases = append(aliases, Alias{
				Service:  mesh.ServicePort{Name: s.Name, Port: port},
				Listen:   options.served(netip.AddrPortFrom(address, port)),
				Original: netip.AddrPortFrom(s.IP, port),
			})
		}
	}
	return aliases
}
