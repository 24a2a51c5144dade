package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"testing"
)

func load(t *testing.T) []Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", Module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath    string
			Imports, Deps []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, Package{p.ImportPath, p.Imports, p.Deps})
	}
}

func TestImports(t *testing.T) {
	packages := load(t)
	for _, b := range Check(Rules, packages) {
		t.Errorf("%s must not import %s: %s", b.Package, b.Import, b.Reason)
	}
	for _, p := range packages {
		if slices.Contains(BadNames, path.Base(p.Path)) {
			t.Errorf("%s: a package is named after what it is about", p.Path)
		}
	}
}

func TestCheckFindsBreaches(t *testing.T) {
	packages := []Package{
		{Path: Module + "/proxy/http1", Imports: []string{"net", "net/netip"}},
		{Path: Module + "/internal/graph", Imports: []string{"net/netip", Module + "/proxy/route"}},
		{Path: Module + "/cmd/proxy", Deps: []string{"k8s.io/api/core/v1"}},
		{Path: Module + "/proxy/config", Imports: []string{Module + "/proxy/config/inner", Module + "/proxy/route"}},
	}
	var got []string
	for _, b := range Check(Rules, packages) {
		got = append(got, b.Package+" -> "+b.Import)
	}
	want := []string{
		Module + "/internal/graph -> " + Module + "/proxy/route",
		Module + "/proxy/config -> " + Module + "/proxy/route",
		Module + "/proxy/http1 -> net",
		Module + "/cmd/proxy -> k8s.io/api/core/v1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("breaches:\n%q\nwant:\n%q", got, want)
	}
}
