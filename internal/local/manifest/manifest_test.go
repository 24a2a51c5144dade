package manifest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden: what is said of each testdata/*.yaml stands in the .golden file beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			result := Read(filepath.Base(file), text)
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
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}

// TestSamples: the sample manifests have no mistakes.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../../config/samples/shop/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range Read(filepath.Base(file), text).Problems {
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
