package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/golden"
)

// TestGolden: what is said of each testdata/*.yaml stands in the .golden file beside it.
func TestGolden(t *testing.T) {
	want := golden.Dir{Root: "testdata", Suffixes: []string{".golden"}}
	golden.Each(t, "testdata", ".yaml", func(t *testing.T, file string) {
		result := Read(filepath.Base(file), golden.Read(t, file))
		var out strings.Builder
		for _, problem := range append(result.Problems, Duplicates(result.Items)...) {
			fmt.Fprintln(&out, problem)
		}
		for _, skipped := range result.Skipped {
			fmt.Fprintln(&out, "skipped", skipped)
		}
		for _, item := range result.Items {
			fmt.Fprintf(&out, "read %s:%d: %T %s/%s\n", item.File, item.Line, item.Object, item.Object.GetNamespace(), item.Object.GetName())
		}
		want.Check(t, strings.TrimSuffix(filepath.Base(file), ".yaml")+".golden", []byte(out.String()))
	})
	want.Orphans(t)
}

// TestSamples: the sample manifests have no mistakes.
func TestSamples(t *testing.T) {
	for _, file := range golden.Files(t, "../../../config/samples/shop/*.yaml") {
		for _, problem := range Read(filepath.Base(file), golden.Read(t, file)).Problems {
			t.Error(problem)
		}
	}
}

func FuzzRead(f *testing.F) {
	text, err := os.ReadFile("testdata/mistakes.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("kind: [\n--- \n- 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, problem := range Read("f", text).Problems {
			if problem.Line < 1 {
				t.Errorf("line %d: %s", problem.Line, problem)
			}
		}
	})
}
