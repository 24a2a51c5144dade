// Package image makes container images without a registry: one layer around a static binary, as a tarball that containerd imports.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec is one image.
type Spec struct {
	Name       string            // as manifests name it; without a tag it gets one that stands for its content
	Binary     string            // path of a static binary; it becomes Entrypoint
	Entrypoint string            // absolute path in the image; "" is "/" and the binary's base name
	Links      []string          // names beside Entrypoint, or absolute paths, that lead to it
	Files      map[string]string // path in the image -> path here
	User       string            // numeric "uid" or "uid:gid"; "" is root
	Arch       string            // GOARCH of the binary
}

// epoch dates all files, so that the same content is the same image.
var epoch = time.Unix(0, 0).UTC()

// passwd names the users that images here run as; programs that look themselves up find an answer.
const passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\nleno:x:1338:1338:leno:/:/sbin/nologin\n"

// Image is a built image under its full name, docker.io/library/x:tag for x:tag: the one by which a manifest's is looked up.
type Image struct {
	Name    string
	content v1.Image
	tag     name.Tag
}

// Build makes the image.
func Build(s Spec) (Image, error) {
	tag, err := name.NewTag(s.Name)
	if err != nil {
		return Image{}, fmt.Errorf("image name %q: %w", s.Name, err)
	}
	if s.Entrypoint == "" {
		s.Entrypoint = "/" + filepath.Base(s.Binary)
	}
	content, err := layer(s)
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", s.Name, err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, types.DockerUncompressedLayer))
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", s.Name, err)
	}
	img, err = mutate.ConfigFile(img, config(s, img))
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", s.Name, err)
	}
	if !strings.HasSuffix(s.Name, ":"+tag.TagStr()) {
		digest, err := img.ConfigName()
		if err != nil {
			return Image{}, fmt.Errorf("image %s: %w", s.Name, err)
		}
		tag = tag.Context().Tag(digest.Hex[:12])
	}
	// The library spells the default registry by its host name, containerd by its domain.
	full := strings.Replace(tag.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
	return Image{Name: full, content: img, tag: tag}, nil
}

// Write writes the image as a tarball.
func (i Image) Write(w io.Writer) error {
	if err := tarball.Write(i.tag, i.content, w); err != nil {
		return fmt.Errorf("write image %s: %w", i.Name, err)
	}
	return nil
}

func config(s Spec, img v1.Image) *v1.ConfigFile {
	file, err := img.ConfigFile()
	if err != nil {
		file = &v1.ConfigFile{}
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", s.Arch
	file.Created = v1.Time{Time: epoch}
	file.Config = v1.Config{
		Entrypoint: []string{s.Entrypoint},
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/"},
		User:       s.User,
		WorkingDir: "/",
	}
	return file
}

// layer is the image's one layer: folders, files in order of their paths, links.
func layer(s Spec) ([]byte, error) {
	files := map[string]string{s.Entrypoint: s.Binary}
	for dst, src := range s.Files {
		if !path.IsAbs(dst) {
			return nil, fmt.Errorf("file %s: name an absolute path in the image", dst)
		}
		files[path.Clean(dst)] = src
	}
	paths := make([]string, 0, len(files))
	for dst := range files {
		paths = append(paths, dst)
	}
	sort.Strings(paths)

	var buf bytes.Buffer
	t := &archive{Writer: tar.NewWriter(&buf), made: map[string]bool{"/": true}}
	t.dir("/tmp", 0o1777)
	t.dir("/etc", 0o755)
	t.bytes("/etc/passwd", 0o644, []byte(passwd))
	for _, dst := range paths {
		raw, err := os.ReadFile(files[dst])
		if err != nil {
			return nil, err
		}
		mode := int64(0o644)
		if info, err := os.Stat(files[dst]); err == nil && info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		t.bytes(dst, mode, raw)
	}
	for _, link := range s.Links {
		if !path.IsAbs(link) {
			link = path.Join(path.Dir(s.Entrypoint), link)
		}
		t.link(link, s.Entrypoint)
	}
	if t.err == nil {
		t.err = t.Close()
	}
	return buf.Bytes(), t.err
}

// archive is a tar writer that makes parents and keeps the first error.
type archive struct {
	*tar.Writer
	made map[string]bool
	err  error
}

func (t *archive) put(h tar.Header, content []byte) {
	if t.err != nil {
		return
	}
	h.ModTime, h.Format = epoch, tar.FormatPAX
	if t.err = t.WriteHeader(&h); t.err == nil {
		_, t.err = t.Write(content)
	}
}

func (t *archive) dir(name string, mode int64) {
	if t.made[name] {
		return
	}
	t.dir(path.Dir(name), 0o755)
	t.made[name] = true
	t.put(tar.Header{Typeflag: tar.TypeDir, Name: name[1:] + "/", Mode: mode}, nil)
}

func (t *archive) bytes(name string, mode int64, content []byte) {
	t.dir(path.Dir(name), 0o755)
	t.put(tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: mode, Size: int64(len(content))}, content)
}

func (t *archive) link(name, target string) {
	t.dir(path.Dir(name), 0o755)
	t.put(tar.Header{Typeflag: tar.TypeSymlink, Name: name[1:], Linkname: target, Mode: 0o777}, nil)
}
