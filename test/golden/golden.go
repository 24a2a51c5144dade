// Package golden compares what a test made with a file, rewrites the file when asked to (go test -update), and finds files that
// no test makes any more.
package golden

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files, and remove those that no test makes")

// Dir is a folder with golden files. It is safe for parallel tests.
type Dir struct {
	Root string
	// Suffixes are the ends of the names of golden files, like "/mesh.yaml" or ".out"; other files are inputs.
	Suffixes []string

	mu   sync.Mutex
	seen map[string]bool
}

// Check compares got with the file of that name below the root.
func (d *Dir) Check(t *testing.T, name string, got []byte) {
	t.Helper()
	d.mu.Lock()
	if d.seen == nil {
		d.seen = map[string]bool{}
	}
	d.seen[filepath.ToSlash(name)] = true
	d.mu.Unlock()
	path := filepath.Join(d.Root, name)
	want, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(want, got):
	case *update:
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	case err != nil:
		t.Errorf("%v: run the test with -update to write it", err)
	default:
		t.Errorf("%s is different (-want +got); if it should be, run the test with -update:\n%s",
			path, cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")))
	}
}

// Orphans complains about golden files that were not checked, or removes them with -update. Call it after all cases ran.
func (d *Dir) Orphans(t *testing.T) {
	t.Helper()
	if only := flag.Lookup("test.run"); only != nil && strings.Contains(only.Value.String(), "/") {
		return // not all cases ran
	}
	err := filepath.WalkDir(d.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(d.Root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		golden := slices.ContainsFunc(d.Suffixes, func(s string) bool { return strings.HasSuffix("/"+name, s) })
		if !golden || d.seen[name] {
			return nil
		}
		if *update {
			return os.Remove(path)
		}
		t.Errorf("%s belongs to no case: remove it, or run the test with -update", path)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
