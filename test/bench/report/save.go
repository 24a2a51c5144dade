package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Save writes the run into dir as <date>.json, <date>.md and <date>.svg, and gives the path without the ending.
func (r *Run) Save(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := r.Date.UTC().Format("2006-01-02")
	base := filepath.Join(dir, name)
	for ending, fill := range map[string]func(io.Writer) error{
		".json": func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(r)
		},
		".md":  func(w io.Writer) error { return r.Markdown(w, name+".svg") },
		".svg": r.Chart,
	} {
		f, err := os.Create(base + ending)
		if err != nil {
			return "", err
		}
		if err := fill(f); err != nil {
			_ = f.Close()
			return "", fmt.Errorf("%s%s: %w", base, ending, err)
		}
		if err := f.Close(); err != nil {
			return "", err
		}
	}
	return base, nil
}
