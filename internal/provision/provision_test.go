package provision_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/provision"
	"github.com/leno-mesh/leno/test/golden"
)

// given is one testdata/<case>.in.yaml.
type given struct {
	Gateway    *mesh.Gateway
	Mesh       *v1alpha1.Mesh
	Autoscaled bool
}

func read(t *testing.T, file string) given {
	t.Helper()
	var in given
	if err := yaml.UnmarshalStrict(golden.Read(t, file), &in); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	in.Gateway.ServiceAccount = mesh.GatewayServiceAccount(in.Gateway.Name.Name)
	return in
}

func (in given) objects() []provision.Object {
	return provision.Objects(in.Gateway, inject.FromMesh(in.Mesh), in.Autoscaled)
}

// TestObjects compares what is made for the Gateway of each case with the testdata/<case>.out.yaml beside it.
func TestObjects(t *testing.T) {
	want := golden.Dir{Root: "testdata", Suffixes: []string{".out.yaml"}}
	golden.Each(t, "testdata", ".in.yaml", func(t *testing.T, file string) {
		var out strings.Builder
		for _, object := range read(t, file).objects() {
			text, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString("---\n")
			out.Write(text)
		}
		want.Check(t, strings.Replace(filepath.Base(file), ".in.", ".out.", 1), []byte(out.String()))
	})
	want.Orphans(t)
}

// TestNames: what may be removed has the names and kinds of what is made.
func TestNames(t *testing.T) {
	golden.Each(t, "testdata", ".in.yaml", func(t *testing.T, file string) {
		in := read(t, file)
		names := map[string]bool{}
		for _, n := range provision.Names(in.Gateway.Name) {
			names[n.Kind+" "+n.APIVersion+" "+n.Namespace+"/"+n.Name] = true
		}
		for _, o := range in.objects() {
			apiVersion, kind := o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
			if name := kind + " " + apiVersion + " " + o.GetNamespace() + "/" + o.GetName(); !names[name] {
				t.Errorf("%s is made, and not among %v", name, names)
			}
		}
	})
}

// The pods of gateways run where Pod Security "restricted" is enforced.
func TestPodsAreRestricted(t *testing.T) {
	golden.Each(t, "testdata", ".in.yaml", func(t *testing.T, file string) {
		pod := read(t, file).objects()[1].(*appsv1.Deployment).Spec.Template.Spec
		if pod.HostNetwork || pod.HostPID || pod.HostIPC || *pod.AutomountServiceAccountToken {
			t.Error("the pod reaches beyond itself")
		}
		for _, v := range pod.Volumes {
			if v.HostPath != nil {
				t.Errorf("volume %s is the node's", v.Name)
			}
		}
		for _, c := range pod.Containers {
			s := c.SecurityContext
			if !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation ||
				len(s.Capabilities.Add) > 0 || s.Capabilities.Drop[0] != "ALL" || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("container %s has privileges: %+v", c.Name, s)
			}
		}
	})
}

// TestListenersRestartNobody: what listeners come and go changes the Service alone.
func TestListenersRestartNobody(t *testing.T) {
	in := read(t, "testdata/plain.in.yaml")
	before := in.objects()
	in.Gateway.Ports = append(in.Gateway.Ports, mesh.GatewayPort{Number: 8443})
	after := in.objects()
	if d := cmp.Diff(before[:3], after[:3]); d != "" {
		t.Errorf("new ports change more than the Service:\n%s", d)
	}
	if s := after[3].(*corev1.Service); len(s.Spec.Ports) != 4 {
		t.Errorf("ports of the Service: %+v", s.Spec.Ports)
	}
}

// TestObjectsAreCopies: what is done to the objects afterwards does not reach the input.
func TestObjectsAreCopies(t *testing.T) {
	in := read(t, "testdata/everything.in.yaml")
	for _, object := range in.objects() {
		for _, m := range []map[string]string{object.GetLabels(), object.GetAnnotations()} {
			for key := range m {
				m[key] = "changed"
			}
		}
	}
	if d := cmp.Diff(read(t, "testdata/everything.in.yaml"), in, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("the input was changed (-before +after):\n%s", d)
	}
}

// TestSame: routes change often and concern no object; everything that an object is made of does.
func TestSame(t *testing.T) {
	base := read(t, "testdata/everything.in.yaml").Gateway
	if other := read(t, "testdata/everything.in.yaml").Gateway; !provision.Same(base, other) {
		t.Error("a Gateway is not the same as itself")
	}
	for what, tc := range map[string]struct {
		change func(*mesh.Gateway)
		same   bool
	}{
		"routes": {func(g *mesh.Gateway) {
			g.Ports[2].Listeners = []*mesh.Listener{{Hosts: []mesh.Host{{Name: "a.example", Routes: &mesh.RouteTable{}}}}}
		}, true},
		"its UID":           {func(g *mesh.Gateway) { g.Infrastructure.UID = "other" }, false},
		"a label":           {func(g *mesh.Gateway) { g.Infrastructure.Labels["team"] = "other" }, false},
		"an address":        {func(g *mesh.Gateway) { g.Infrastructure.Addresses = nil }, false},
		"its class":         {func(g *mesh.Gateway) { g.Infrastructure.Class = "other" }, false},
		"parameters":        {func(g *mesh.Gateway) { *g.Infrastructure.Parameters.Replicas = 5 }, false},
		"what is not known": {func(g *mesh.Gateway) { g.Infrastructure.Held = true }, false},
		"a port":            {func(g *mesh.Gateway) { g.Ports = g.Ports[1:] }, false},
	} {
		other := read(t, "testdata/everything.in.yaml").Gateway
		tc.change(other)
		if got := provision.Same(base, other); got != tc.same {
			t.Errorf("%s changed: same is %v", what, got)
		}
	}
}
