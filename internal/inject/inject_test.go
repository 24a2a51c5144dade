package inject_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/inject"
	"github.com/leno-mesh/leno/test/golden"
)

// given is one testdata/<case>.in.yaml.
type given struct {
	Namespace inject.Namespace
	Mesh      *v1alpha1.Mesh
	Classic   bool
	Pod       *corev1.Pod
}

// expected is the testdata/<case>.out.yaml beside it.
type expected struct {
	Decision inject.Decision
	Pod      *corev1.Pod `json:",omitempty"`
}

// TestCases injects the pod of each case and compares decision, reasons and pod. Each injected pod must also come out
// the same when it is injected again, and give the original back when the sidecar is removed.
func TestCases(t *testing.T) {
	want := golden.Dir{Root: "testdata", Suffixes: []string{".out.yaml"}}
	golden.Each(t, "testdata", ".in.yaml", func(t *testing.T, file string) {
		var in given
		read(t, file, &in)
		settings := inject.FromMesh(in.Mesh)
		settings.Classic = in.Classic
		out := expected{Decision: inject.Decide(in.Pod, in.Namespace, settings)}
		if out.Decision.Inject {
			out.Pod = apply(t, in.Pod, settings)
			again := apply(t, out.Pod, settings)
			if d := cmp.Diff(out.Pod, again); d != "" {
				t.Errorf("a second injection changes the pod (-once +twice):\n%s", d)
			}
			if d := cmp.Diff(inject.Decide(in.Pod, in.Namespace, settings), inject.Decide(out.Pod, in.Namespace, settings)); d != "" {
				t.Errorf("the decision about an injected pod is another (-bare +injected):\n%s", d)
			}
			if original := in.Pod; !inject.Injected(original) {
				if d := cmp.Diff(original, inject.Remove(out.Pod)); d != "" {
					t.Errorf("removing the sidecar does not give the original (-want +got):\n%s", d)
				}
			}
		}
		text, err := yaml.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		want.Check(t, strings.Replace(filepath.Base(file), ".in.", ".out.", 1), text)
	})
	want.Orphans(t)
}

func apply(t *testing.T, pod *corev1.Pod, s inject.Settings) *corev1.Pod {
	t.Helper()
	before := pod.DeepCopy()
	out, err := inject.Apply(pod, s)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	if d := cmp.Diff(before, pod); d != "" {
		t.Fatalf("Apply changed its argument:\n%s", d)
	}
	// As after a round trip through the API: quantities in their canonical form.
	text, err := yaml.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var back corev1.Pod
	if err := yaml.UnmarshalStrict(text, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func read(t testing.TB, file string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(golden.Read(t, file), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// TestStrippedRestartPolicy is about webhooks built against an API that does not know restartPolicy on init containers:
// they drop the field, and the pod would wait for its sidecar to end.
func TestStrippedRestartPolicy(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}}}}
	native, err := inject.Apply(pod, inject.FromMesh(nil))
	if err != nil {
		t.Fatal(err)
	}
	for i := range native.Spec.InitContainers {
		native.Spec.InitContainers[i].RestartPolicy = nil
	}
	classic, err := inject.Apply(native, inject.FromMesh(nil))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range classic.Spec.Containers {
		names = append(names, c.Name)
	}
	if d := cmp.Diff([]string{"web", "leno-proxy"}, names); d != "" {
		t.Errorf("containers (-want +got):\n%s", d)
	}
	if got := classic.Annotations["mesh.leno.dev/injected"]; got != inject.ModeClassic {
		t.Errorf("mode %q, want %q", got, inject.ModeClassic)
	}
	again, err := inject.Apply(classic, inject.FromMesh(nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(classic, again); d != "" {
		t.Errorf("a further injection changes the pod:\n%s", d)
	}
}

// TestUnknownFields is about clusters whose pod API is newer than the injector's.
func TestUnknownFields(t *testing.T) {
	const raw = `{"metadata":{"name":"web-1"},"spec":{"newField":{"a":1},"containers":[
		{"name":"web","image":"web","newerField":[1,2],"livenessProbe":{"tcpSocket":{"port":80},"newestField":true}},
		{"name":"logs","image":"logs","newerField":"logs"}]}}`
	text, err := inject.ApplyJSON([]byte(raw), inject.FromMesh(nil))
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Spec struct {
			NewField   map[string]int
			Containers []struct {
				Name          string
				NewerField    any
				LivenessProbe *struct{ NewestField bool }
			}
			InitContainers []struct{ Name string }
		}
	}
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if out.Spec.NewField["a"] != 1 || len(out.Spec.InitContainers) != 2 || len(out.Spec.Containers) != 2 ||
		out.Spec.Containers[0].NewerField == nil || !out.Spec.Containers[0].LivenessProbe.NewestField || out.Spec.Containers[1].NewerField != "logs" {
		t.Errorf("a field was lost: %s", text)
	}
}
