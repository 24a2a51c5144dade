// Package artifact builds the cluster's programs from Go modules and keeps them by content: the same sources, versions, flags
// and Go version are built once per machine.
package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// GoVersion builds everything here.
const GoVersion = "go1.27.0"

// Spec is one build. Either Dir names a folder of a module of ours, or Packages name commands of published modules with
// "@version".
type Spec struct {
	Name     string
	Dir      string   // absolute
	Main     string   // package within Dir; "" is its root
	Packages []string // path@version each
	Tags     string
	LDFlags  string
	Links    []string // further names of the one binary built from Dir
}

// Cache is the folder of finished builds.
type Cache struct {
	Dir string
	Log func(format string, args ...any) // told when a build starts
}

// DefaultDir is $XDG_CACHE_HOME/leno/cluster, by default ~/.cache/leno/cluster.
func DefaultDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	return filepath.Join(base, "leno", "cluster"), nil
}

// Get returns the folder that holds the spec's binaries, building them first when they are not there.
func (c Cache) Get(s Spec) (string, error) {
	key, err := s.key()
	if err != nil {
		return "", err
	}
	final := filepath.Join(c.Dir, s.Name+"-"+key)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	unlock, err := Lock(filepath.Join(c.Dir, s.Name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil // built by whoever held the lock
	}
	c.Log("building %s (kept in %s)", s.Name, final)
	partial := final + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", fmt.Errorf("clean %s: %w", partial, err)
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	if err := s.build(partial); err != nil {
		return "", fmt.Errorf("build %s: %w", s.Name, err)
	}
	if err := os.Rename(partial, final); err != nil {
		return "", fmt.Errorf("finish %s: %w", s.Name, err)
	}
	return final, nil
}

func (s Spec) build(out string) error {
	if s.Dir == "" {
		for _, group := range s.groups() {
			args := append([]string{"install", "-tags", s.Tags, "-ldflags", s.LDFlags}, group...)
			if err := runGo(out, "GOBIN="+out, args...); err != nil {
				return err
			}
		}
		return nil
	}
	args := []string{"build", "-tags", s.Tags, "-ldflags", s.LDFlags, "-o", filepath.Join(out, s.Name), "./" + s.Main}
	if err := runGo(s.Dir, "", args...); err != nil {
		return err
	}
	for _, link := range s.Links {
		if err := os.Symlink(s.Name, filepath.Join(out, link)); err != nil {
			return err
		}
	}
	return nil
}

// groups keeps together what one `go install` takes: packages of one module. Ours differ in nothing but the last
// elements, so the third element of the path decides.
func (s Spec) groups() [][]string {
	var out [][]string
	for _, p := range s.Packages {
		i := slices.IndexFunc(out, func(g []string) bool { return module(g[0]) == module(p) })
		if i < 0 {
			out = append(out, nil)
			i = len(out) - 1
		}
		out[i] = append(out[i], p)
	}
	return out
}

func module(pkg string) string {
	parts := strings.SplitN(pkg, "/", 4)
	return strings.Join(parts[:min(3, len(parts))], "/")
}

func runGo(dir, env string, args ...string) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("no go command in PATH: install Go 1.21 or newer, it fetches " + GoVersion + " by itself")
	}
	cmd := exec.Command(goTool, args...)
	cmd.Dir = dir
	// No -trimpath: packages then share the build cache with the rest of the project.
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+GoVersion, "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if env != "" {
		cmd.Env = append(cmd.Env, env)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, tail(out, 40))
	}
	return nil
}

func tail(out []byte, lines int) string {
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// key is a hash of all that decides the result.
func (s Spec) key() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, GoVersion, runtime.GOOS, runtime.GOARCH, s.Main, s.Tags, s.LDFlags, s.Packages, s.Links)
	if s.Dir != "" {
		if err := hashSources(h, filepath.Join(s.Dir, s.Main)); err != nil {
			return "", fmt.Errorf("sources of %s: %w", s.Name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// hashSources covers go.mod, go.sum and the Go files of one folder; mains here have no packages below them.
func hashSources(h io.Writer, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name != "go.mod" && name != "go.sum" && (!strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go")) {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n", name, len(raw))
		if _, err := h.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// Lock takes an exclusive lock on the file, waiting for it, and returns the function that gives it up. Who holds it may
// remove the file: whoever waited for it then takes the next one.
func Lock(path string) (func(), error) {
	for {
		f, err := lockOnce(path)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		held, err := f.Stat()
		if err == nil {
			if there, err := os.Stat(path); err == nil && os.SameFile(held, there) {
				return func() { f.Close() }, nil
			}
		}
		f.Close()
	}
}

func lockOnce(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
