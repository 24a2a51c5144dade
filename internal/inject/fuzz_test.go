package inject_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/leno-mesh/leno/internal/inject"
)

// FuzzApplyJSON: whatever a user calls a pod, injection gives a pod or an error, and a second one changes nothing.
func FuzzApplyJSON(f *testing.F) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		var in given
		read(f, file, &in)
		text, err := json.Marshal(in.Pod)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, in.Classic)
	}
	f.Fuzz(func(t *testing.T, text []byte, classic bool) {
		settings := inject.FromMesh(nil)
		settings.Classic = classic
		var pod corev1.Pod
		if kjson.UnmarshalCaseSensitivePreserveInts(text, &pod) == nil {
			inject.Remove(&pod)
			if !inject.Decide(&pod, inject.Namespace{Name: "shop", Labels: map[string]string{"mesh.leno.dev/inject": "enabled"}}, settings).Inject {
				return
			}
		}
		once, err := inject.ApplyJSON(text, settings)
		if err != nil {
			return
		}
		twice, err := inject.ApplyJSON(once, settings)
		if err != nil || string(twice) != string(once) {
			t.Errorf("a second injection: %v\n%s\n%s", err, once, twice)
		}
	})
}
