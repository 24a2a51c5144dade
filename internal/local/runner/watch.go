// Package runner is the shell around package local: it reads and watches manifests, starts the control plane, the
// sidecars and the commands, and tells what is going on.
package runner

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/leno-mesh/leno/internal/local/manifest"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// maxFile bounds one manifest, in bytes.
const maxFile = 16 << 20

// Load reads manifests: files, folders (all *.yaml, *.yml and *.json below them) and Stdin. Mistakes in manifests are in
// the result; the error is about files that cannot be read.
func Load(paths []string, stdin io.Reader) (manifest.Result, error) {
	var all manifest.Result
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			return all, err
		}
		for _, file := range files {
			text, err := ReadFile(file, stdin)
			if err != nil {
				return all, err
			}
			one := manifest.Read(display(file), text)
			all.Items = append(all.Items, one.Items...)
			all.Problems = append(all.Problems, one.Problems...)
			all.Skipped = append(all.Skipped, one.Skipped...)
		}
	}
	all.Problems = append(all.Problems, manifest.Duplicates(all.Items)...)
	return all, nil
}

func display(file string) string {
	if file == Stdin {
		return "(standard input)"
	}
	return file
}

// ReadFile reads one manifest, or stdin for Stdin.
func ReadFile(file string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if file != Stdin {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", display(file), err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("manifest %s is larger than %d MiB", display(file), maxFile>>20)
	}
	return text, nil
}

func filesOf(path string) ([]string, error) {
	if path == Stdin {
		return []string{Stdin}, nil
	}
	var files []string
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case file != path && strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case file == path, isManifest(entry.Name()):
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	slices.Sort(files)
	return files, nil
}

func isManifest(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// settle is how long files must be quiet before they are read again: editors write in several steps.
const settle = 50 * time.Millisecond

// Watch sends on changed when a manifest was written, until ctx ends. Several writes may make one message.
func Watch(ctx context.Context, paths []string, changed chan<- struct{}) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching manifests: %w", err)
	}
	defer watcher.Close()
	if err := watchFolders(watcher, paths); err != nil {
		return err
	}
	quiet := time.NewTimer(0)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.Errors:
			return fmt.Errorf("watching manifests: %w", err)
		case event := <-watcher.Events:
			if event.Has(fsnotify.Create) {
				_ = watchFolders(watcher, []string{event.Name}) // it may be gone again
			}
			if event.Op != fsnotify.Chmod && (isManifest(filepath.Base(event.Name)) || event.Has(fsnotify.Create|fsnotify.Remove|fsnotify.Rename)) {
				quiet.Reset(settle)
			}
		case <-quiet.C:
			select {
			case changed <- struct{}{}:
			default: // the reader has not read since the last one
			}
		}
	}
}

// watchFolders watches folders, and for files the folder they are in: editors replace files.
func watchFolders(watcher *fsnotify.Watcher, paths []string) error {
	for _, path := range paths {
		if path == Stdin {
			continue
		}
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && file != path && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir
			case entry.IsDir():
				return watcher.Add(file)
			case file == path:
				return watcher.Add(filepath.Dir(file))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("watching %s: %w", path, err)
		}
	}
	return nil
}
