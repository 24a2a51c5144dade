// Package translate takes the cases of test/cases from the cluster's objects to xDS resources and on into a proxy's structs.
package translate

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/xds"
	"github.com/leno-mesh/leno/proxy/config"
	"github.com/leno-mesh/leno/test/fixture"
	"github.com/leno-mesh/leno/test/golden"
)

const root = "../cases"

// TestCases writes xds.yaml beside each case's in.yaml: what the case's proxies would be told if they dialled everything. Of
// a case on top of another one, only what differs. Each resource must pass Envoy's own validation and be taken by our proxy,
// and everything that it refers to must be there.
func TestCases(t *testing.T) {
	want := golden.Dir{Root: root, Suffixes: []string{"/xds.yaml"}}
	for _, file := range golden.Files(t, filepath.Join(root, "*", "in.yaml")) {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			events, base := fixture.Case(t, root, name)
			got := everything(t, build(events))
			if base != "" {
				baseEvents, _ := fixture.Case(t, root, base)
				for key, message := range everything(t, build(baseEvents)) {
					if proto.Equal(message, got[key]) {
						delete(got, key)
					}
				}
			}
			want.Check(t, name+"/xds.yaml", render(t, got))
		})
	}
	want.Orphans(t)
}

func build(events []snapshot.Event) *mesh.Mesh {
	return graph.Build((&snapshot.Snapshot{}).With(events), graph.Options{SessionKey: mesh.SessionKey{1}}).Mesh
}

// key names a resource; who is empty when it is the same for everybody.
type key struct{ typeURL, name, who string }

func (k key) compare(l key) int {
	return cmp.Or(cmp.Compare(slices.Index(order, k.typeURL), slices.Index(order, l.typeURL)), cmp.Compare(k.name, l.name), cmp.Compare(k.who, l.who))
}

var order = []string{xds.ListenerType, xds.RouteType, xds.ClusterType, xds.EndpointType, xds.SecretType}

// everything translates what pods of each namespace can dial, what that refers to, and how the first pod receives.
func everything(t *testing.T, m *mesh.Mesh) map[key]proto.Message {
	t.Helper()
	w := walk{t: t, m: m, out: map[key]proto.Message{}}
	pods := slices.SortedFunc(maps.Keys(m.Workloads), func(a, b mesh.Name) int { return cmp.Compare(a.String(), b.String()) })
	for i, pod := range pods {
		if i == 0 && w.resource(pod, xds.ListenerType, xds.InboundName).Inbound == nil {
			t.Errorf("pod %v does not receive", pod)
		}
	}
	for name := range m.Gateways {
		w.gateway(name)
	}
	for _, namespace := range namespaces(m) {
		who := mesh.Name{Namespace: namespace, Name: "any"}
		for dst := range m.Frontends {
			w.listener(who, dst)
		}
		for _, pod := range pods {
			for _, address := range m.Workloads[pod].Addresses {
				w.listener(who, netip.AddrPortFrom(address, 8080))
			}
		}
	}
	w.registered()
	return w.out
}

// registered translates what sidecars may reach by name, where the mesh lets them.
func (w walk) registered() {
	if w.m.Settings.Outbound != mesh.OutboundRegistryOnly {
		return
	}
	for name, s := range w.m.XBackends {
		who := mesh.Name{Namespace: name.Namespace, Name: "any"}
		if dst := xds.CatchAll(s.Ports[0].Number); xds.Listener(w.m, who, xds.ListenerName(dst)) != nil {
			w.listener(who, dst)
		}
	}
}

// namespaces are those that have Services or routes.
func namespaces(m *mesh.Mesh) []string {
	set := map[string]bool{}
	for name, s := range m.Services {
		set[name.Namespace] = true
		for _, p := range s.Ports {
			for consumer := range p.Consumer {
				set[consumer] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

type walk struct {
	t   *testing.T
	m   *mesh.Mesh
	out map[key]proto.Message
}

// gateway translates what a gateway's proxy opens.
func (w walk) gateway(name mesh.Name) {
	pod := mesh.Name{Namespace: name.Namespace, Name: name.Name + "-proxy"}
	w.m.Workloads[pod] = &mesh.Workload{Name: pod, Gateway: name, Identity: w.m.Gateways[name].Identity}
	defer delete(w.m.Workloads, pod)
	var clusters []string
	for _, listener := range xds.GatewayListeners(w.m, pod) {
		r := w.resource(pod, xds.ListenerType, listener)
		if r.Datagram != nil {
			clusters = append(clusters, r.Datagram.References()...)
			continue
		}
		clusters = append(clusters, r.Port.References()...)
		for _, table := range r.Port.Tables() {
			clusters = append(clusters, w.resource(pod, xds.RouteType, table).Routes.References()...)
		}
		for _, secret := range r.Port.Secrets() {
			w.resource(pod, xds.SecretType, secret)
		}
	}
	for _, c := range clusters {
		w.resource(pod, xds.ClusterType, c)
		w.resource(pod, xds.EndpointType, c)
	}
}

func (w walk) listener(pod mesh.Name, dst netip.AddrPort) {
	l := w.resource(pod, xds.ListenerType, xds.ListenerName(dst)).Listener
	if l == nil {
		w.t.Errorf("%v is unknown", dst)
		return
	}
	clusters := l.References()
	if l.Routes != "" {
		clusters = append(clusters, w.resource(pod, xds.RouteType, l.Routes).Routes.References()...)
	}
	for _, c := range clusters {
		w.resource(pod, xds.ClusterType, c)
		w.resource(pod, xds.EndpointType, c)
	}
}

func (w walk) resource(pod mesh.Name, typeURL, name string) config.Resource {
	w.t.Helper()
	r, err := xds.Translate(w.m, pod, typeURL, name)
	if errors.Is(err, xds.ErrUnknown) {
		w.t.Fatalf("%s %q is referred to, and unknown", typeURL, name)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	message := xds.Message(w.m, pod, typeURL, name)
	if err := message.(interface{ ValidateAll() error }).ValidateAll(); err != nil {
		w.t.Errorf("Envoy would refuse %s %q: %v", typeURL, name, err)
	}
	w.out[key{typeURL, name, xds.Scope(w.m, pod, typeURL, name)}] = message
	decoded, err := config.Decode(typeURL, name, r.Version, r.Body)
	if err != nil {
		w.t.Fatalf("our proxy refuses %v", err)
	}
	return decoded
}

func render(t *testing.T, resources map[key]proto.Message) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, k := range slices.SortedFunc(maps.Keys(resources), key.compare) {
		json, err := protojson.Marshal(resources[k])
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.JSONToYAML(json)
		if err != nil {
			t.Fatal(err)
		}
		kind := k.typeURL[strings.LastIndexByte(k.typeURL, '.')+1:]
		if k.who == "" {
			fmt.Fprintf(&out, "# %s %s\n%s---\n", kind, k.name, text)
		} else {
			fmt.Fprintf(&out, "# %s %s, for %s\n%s---\n", kind, k.name, k.who, text)
		}
	}
	return out.Bytes()
}
