package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/golden"
)

// Each testdata/*.yaml is loaded; what came out, or what was wrong, is in the file of the same name that ends in .out.
func TestLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata (%v)", err)
	}
	want := golden.Dir{Root: "testdata", Suffixes: []string{".out"}}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want.Check(t, strings.TrimSuffix(filepath.Base(file), ".yaml")+".out", render(Load(filepath.Base(file), text)))
		})
	}
	want.Orphans(t)
}

func render(m *Manifest, err error) []byte {
	var b strings.Builder
	for _, e := range m.Events {
		fmt.Fprintf(&b, "object %s %s, line %d\n", e.Ref.Kind, e.Ref.Name, m.Sources[e.Ref].Line)
	}
	for _, d := range m.Skipped {
		fmt.Fprintf(&b, "skipped %s %s, line %d\n", d.Type.APIVersion, d.object(), d.Line)
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(&b, "error %s\n", line)
		}
	}
	return []byte(b.String())
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	_, err := Load("shop.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  prots: []\n"))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if e.File != "shop.yaml" || e.Document != 1 || e.Line != 6 || e.Field != "spec.prots" {
		t.Errorf("got %+v", *e)
	}
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Load("f.yaml", text)
		if err != nil && !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Errorf("the error does not begin with the file: %v", err)
		}
		for _, e := range m.Events {
			if e.Object == nil || e.Ref.Name.Name == "" {
				t.Errorf("event without object or name: %+v", e.Ref)
			}
		}
	})
}
