// Command bundle writes the OLM bundle of Leno from what kustomize renders of config/default:
//
//	kustomize build config/default | bundle -version 0.1.0 -out bundle config/samples/mesh.yaml ...
//
// docs/decisions/0007-olm-bundle.md says what a bundle cannot carry, and how that gets installed.
package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	version := flag.String("version", "", "version of Leno, like 0.1.0")
	out := flag.String("out", "bundle", "folder to write to; its manifests and metadata are replaced")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bundle [flags] <file with an example of one of Leno's kinds>...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(os.Stdin, *version, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(rendered io.Reader, version, out string, examples []string) error {
	manifests, err := io.ReadAll(rendered)
	if err != nil {
		return fmt.Errorf("read the rendered manifests: %w", err)
	}
	var shown [][]byte
	for _, path := range examples {
		example, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read the example: %w", err)
		}
		shown = append(shown, example)
	}
	files, err := Build(manifests, shown, version)
	if err != nil {
		return err
	}
	if err := Check(files); err != nil {
		return fmt.Errorf("OLM would not take this bundle, nothing was written: %w", err)
	}
	return write(files, out)
}

// write replaces the folders that hold nothing but generated files, so that no file of an earlier bundle stays.
func write(files Files, out string) error {
	for _, dir := range []string{manifestsDir, metadataDir} {
		if err := os.RemoveAll(filepath.Join(out, dir)); err != nil {
			return fmt.Errorf("remove the earlier bundle: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make the folder of %s: %w", name, err)
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
