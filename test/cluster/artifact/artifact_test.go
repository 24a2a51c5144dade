package artifact

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeyFollowsWhatDecidesTheResult(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := func(s Spec) string {
		k, err := s.key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := Spec{Name: "x", Dir: dir, Tags: "a"}
	write("go.mod", "module x")
	write("main.go", "package main")
	first := key(base)
	write("main_test.go", "package main")
	write("notes.txt", "hello")
	if key(base) != first {
		t.Error("a test or a note changes the key")
	}
	tags := base
	tags.Tags = "b"
	if key(tags) == first {
		t.Error("tags do not change the key")
	}
	write("main.go", "package main // changed")
	if key(base) == first {
		t.Error("sources do not change the key")
	}
}

func TestOneInstallPerModule(t *testing.T) {
	groups := Spec{Packages: []string{"github.com/a/b/x@v1", "github.com/c/d@v2", "github.com/a/b/y@v1"}}.groups()
	if len(groups) != 2 || len(groups[0]) != 2 || groups[1][0] != "github.com/c/d@v2" {
		t.Errorf("groups %q", groups)
	}
}

func TestLockSurvivesRemoval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	first, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		second, err := Lock(path)
		if err == nil {
			defer second()
			_, err = os.Stat(path) // the lock is on the file that others will find
		}
		got <- err
	}()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	first()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
