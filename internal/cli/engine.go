package cli

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/manifest"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
)

// engine is the mesh that manifests mean, with every pod ready.
type engine struct {
	plan   *local.Plan
	mesh   *mesh.Mesh
	status []status.Want
}

// exampleKey stands where a cluster has a secret.
var exampleKey = mesh.SessionKey{1}

func newEngine(items []manifest.Item) engine {
	var objects []local.Object
	for _, item := range items {
		objects = append(objects, item.Object)
	}
	plan := local.New(objects, local.Options{AllDeployments: true})
	var running []local.Running
	for _, pod := range plan.Pods {
		running = append(running, local.Running{Pod: pod, Phase: local.Ready})
	}
	built := graph.Build((&snapshot.Snapshot{}).With(local.Diff(nil, plan.Objects(running))), graph.Options{SessionKey: exampleKey})
	return engine{plan: plan, mesh: built.Mesh, status: built.Status}
}

// resource translates one resource and reads it as a proxy does.
func (e engine) resource(who mesh.Name, typeURL, name string) (config.Resource, error) {
	sent, err := xds.Translate(e.mesh, who, typeURL, name)
	if err != nil {
		return config.Resource{}, err
	}
	return config.Decode(sent.Type, sent.Name, sent.Version, sent.Body)
}

// client is a pod of a namespace: the mesh treats all clients of one namespace alike.
func (e engine) client(namespace string) mesh.Name {
	return mesh.Name{Namespace: namespace, Name: local.You}
}

// outside tells whether a URL is of a host outside of the mesh: with a dot in its name, and no Service.
func (e engine) outside(target *url.URL, namespace string) bool {
	if target.Scheme != "http" && target.Scheme != "https" || !strings.Contains(target.Hostname(), ".") {
		return false
	}
	if parts := strings.Split(strings.TrimSuffix(target.Hostname(), "."), "."); len(parts) > 2 && parts[2] != "svc" {
		return true
	}
	name, _, _ := e.service(target.Hostname(), namespace)
	return e.mesh.Services[name] == nil
}

// service finds the Service that a host means for a client in a namespace: its DNS name, short or long. Without a
// namespace a short name means the first Service of that name.
func (e engine) service(host, namespace string) (mesh.Name, netip.Addr, error) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	name := mesh.Name{Namespace: namespace, Name: parts[0]}
	for _, s := range e.plan.Services {
		if name.Namespace == "" && s.Name.Name == parts[0] {
			name = s.Name
		}
	}
	if len(parts) > 1 {
		name.Namespace = parts[1]
	}
	if len(parts) > 2 && parts[2] != "svc" {
		return name, netip.Addr{}, fmt.Errorf("host %q: name a Service as name, name.namespace or name.namespace.svc", host)
	}
	s := e.mesh.Services[name]
	if s == nil {
		return name, netip.Addr{}, fmt.Errorf("no Service %s in the manifests", name)
	}
	if len(s.Addresses) == 0 {
		return name, netip.Addr{}, fmt.Errorf("headless Service %s: its clients dial pods, and no route applies", name)
	}
	return name, s.Addresses[0], nil
}
