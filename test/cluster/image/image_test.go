package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func spec(t *testing.T, content string) Spec {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(bin, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return Spec{Name: "app:1", Binary: bin, Entrypoint: "/usr/bin/app", Links: []string{"other", "/bin/sh"}, User: "1338", Arch: "amd64",
		Files: map[string]string{"/etc/app/conf": bin}}
}

func TestNames(t *testing.T) {
	for short, want := range map[string]string{
		"app:1":            "docker.io/library/app:1",
		"leno/proxy:dev":   "docker.io/leno/proxy:dev",
		"leno.dev/x/app:2": "leno.dev/x/app:2",
		"app:latest":       "docker.io/library/app:latest",
	} {
		s := spec(t, "x")
		s.Name = short
		if i, err := Build(s); err != nil || i.Name != want {
			t.Errorf("%s: %s, %v; want %s", short, i.Name, err, want)
		}
	}
	s := spec(t, "x")
	s.Name = "Not A Name"
	if _, err := Build(s); err == nil {
		t.Error("a bad name is accepted")
	}
}

func TestContentTag(t *testing.T) {
	tag := func(content string) string {
		s := spec(t, content)
		s.Name = "app"
		i, err := Build(s)
		if err != nil {
			t.Fatal(err)
		}
		return i.Name
	}
	a, again, b := tag("a"), tag("a"), tag("b")
	if a != again || a == b || strings.HasSuffix(a, ":latest") {
		t.Errorf("tags %s, %s, %s", a, again, b)
	}
}

func TestWrite(t *testing.T) {
	i, err := Build(spec(t, "binary"))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := i.Write(&buf); err != nil {
		t.Fatal(err)
	}
	img, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil || !slices.Equal(file.Config.Entrypoint, []string{"/usr/bin/app"}) || file.Config.User != "1338" || file.Architecture != "amd64" {
		t.Errorf("config %+v, %v", file.Config, err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	raw, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(raw); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name+" "+h.Linkname)
	}
	want := []string{"tmp/ ", "etc/ ", "etc/passwd ", "etc/app/ ", "etc/app/conf ", "usr/ ", "usr/bin/ ", "usr/bin/app ",
		"usr/bin/other /usr/bin/app", "bin/ ", "bin/sh /usr/bin/app"}
	if !slices.Equal(got, want) {
		t.Errorf("layer:\n%q, want\n%q", got, want)
	}
}
