package local

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// environment is what the command is told, NAME=value by name. From weak to strong: where Services are (the variables
// that Kubernetes sets, and with the namespace in their name those of other namespaces), who the pod is, what its first
// container declares, and HOST: the address that the command must listen on, because the pod's own belongs to the sidecar.
func environment(p *Pod, services []*Service, options Options) []string {
	if !p.Runs() {
		return nil
	}
	env := map[string]string{}
	byName := map[string]*Service{}
	for _, s := range services {
		byName[s.String()] = s
	}
	for i, alias := range p.Aliases {
		first := i == 0 || p.Aliases[i-1].Service.Name != alias.Service.Name
		serviceVariables(env, p, alias, portName(byName[alias.Service.String()], alias.Service.Port), first)
	}
	env["POD_NAME"], env["HOSTNAME"] = p.Name.Name, p.Name.Name
	env["POD_NAMESPACE"], env["POD_IP"] = p.Namespace, p.IP.String()
	if port := mainPort(p); port != 0 {
		env["PORT"] = strconv.Itoa(int(options.Served(port)))
	}
	if containers := p.template.Spec.Containers; len(containers) > 0 {
		for _, v := range containers[0].Env {
			if value, known := variable(v, p); known {
				env[v.Name] = expand(value, env)
			}
		}
	}
	env["HOST"] = p.App.String()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// mainPort is the first port that the first container declares, else the lowest that a Service sends to; 0 for none.
func mainPort(p *Pod) uint16 {
	if containers := p.template.Spec.Containers; len(containers) > 0 && len(containers[0].Ports) > 0 {
		return uint16(containers[0].Ports[0].ContainerPort)
	}
	if len(p.Ports) > 0 {
		return p.Ports[0]
	}
	return 0
}

func serviceVariables(env map[string]string, p *Pod, alias Alias, port string, first bool) {
	name := alias.Service.Name.Name
	if alias.Service.Namespace != p.Namespace {
		name += "_" + alias.Service.Namespace
	}
	prefix := strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_SERVICE_"
	number := strconv.Itoa(int(alias.Listen.Port()))
	env[prefix+"HOST"] = alias.Listen.Addr().String()
	if first {
		env[prefix+"PORT"] = number
	}
	if port != "" {
		env[prefix+"PORT_"+strings.ToUpper(strings.ReplaceAll(port, "-", "_"))] = number
	}
}

func portName(s *Service, number uint16) string {
	for _, port := range s.object.Spec.Ports {
		if uint16(port.Port) == number {
			return port.Name
		}
	}
	return ""
}

// variable resolves one variable of a container; false for sources that only a cluster has.
func variable(v corev1.EnvVar, p *Pod) (string, bool) {
	if v.ValueFrom == nil {
		return v.Value, true
	}
	if v.ValueFrom.FieldRef == nil {
		return "", false
	}
	switch path := v.ValueFrom.FieldRef.FieldPath; path {
	case "metadata.name":
		return p.Name.Name, true
	case "metadata.namespace":
		return p.Namespace, true
	case "metadata.uid":
		return uidOf(p), true
	case "spec.nodeName":
		return NodeName, true
	case "spec.serviceAccountName":
		return p.ServiceAccount, true
	case "status.podIP", "status.podIPs":
		return p.IP.String(), true
	case "status.hostIP":
		return "127.0.0.1", true
	default:
		if key, found := strings.CutPrefix(path, "metadata.labels['"); found {
			return p.Labels[strings.TrimSuffix(key, "']")], true
		}
		return "", false
	}
}

// expand replaces $(NAME) by variables known so far, as Kubernetes does; $$ stands for $.
func expand(value string, env map[string]string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(value, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "("), ")")
		known, has := env[name]
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteString("$")
			value = rest[1:]
		case strings.HasPrefix(rest, "(") && closed && has:
			out.WriteString(known)
			value = after
		default:
			out.WriteString("$")
			value = rest
		}
	}
}

// uidOf is the uid of a pod: its name says all that a uid would.
func uidOf(p *Pod) string { return fmt.Sprintf("local-%s-%s", p.Namespace, p.Name.Name) }
