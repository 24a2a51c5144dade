package beyond

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/gateway-api/conformance/tests"
)

// Each test must be marked as ours, or it would show up in the suite's reports; its name must be free, and its manifests must be there.
func TestTests(t *testing.T) {
	names := map[string]bool{}
	for _, test := range tests.ConformanceTests {
		names[test.ShortName] = true
	}
	used := map[string]bool{}
	for _, test := range Tests {
		if names[test.ShortName] {
			t.Errorf("%s: the name is taken", test.ShortName)
		}
		names[test.ShortName] = true
		if !slices.Contains(test.Features, Feature) {
			t.Errorf("%s does not need %s", test.ShortName, Feature)
		}
		for _, path := range test.Manifests {
			used[path] = true
		}
	}
	files, err := Manifests.ReadDir("manifests")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		path := "manifests/" + file.Name()
		if !used[path] {
			t.Errorf("%s belongs to no test", path)
		}
		delete(used, path)
		decodes(t, path)
	}
	for path := range used {
		t.Errorf("%s is missing", path)
	}
}

// decodes checks that a manifest is YAML of objects with a kind and a name.
func decodes(t *testing.T, path string) {
	t.Helper()
	raw, err := Manifests.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for {
		var object struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || object.Kind == "" || object.Metadata.Name == "" {
			t.Errorf("%s: %+v, %v", path, object, err)
			return
		}
	}
}
