package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Files are the files that a pattern of package filepath finds, sorted. None fails the test: it would test nothing.
func Files(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s (%v)", pattern, err)
	}
	return files
}

// Read is the text of a file.
func Read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Each runs a test for each file that matches, by the file's name without suffix.
func Each(t *testing.T, folder, suffix string, test func(t *testing.T, file string)) {
	t.Helper()
	for _, file := range Files(t, filepath.Join(folder, "*"+suffix)) {
		t.Run(strings.TrimSuffix(filepath.Base(file), suffix), func(t *testing.T) { test(t, file) })
	}
}

// Play is what a script does with a line, word by word. What it writes stands below the line.
type Play func(out *strings.Builder, words []string)

// Scripts plays the *.txt of a folder line by line, each with a Play of its own. Lines that were written by the test itself,
// as written tells, are what it compares.
func Scripts(t *testing.T, folder string, written func(line string) bool, start func(t *testing.T) Play) {
	t.Helper()
	dir := Dir{Root: folder}
	Each(t, folder, ".txt", func(t *testing.T, file string) {
		play := start(t)
		var out strings.Builder
		for line := range strings.Lines(string(Read(t, file))) {
			if written(line) {
				continue
			}
			out.WriteString(line)
			play(&out, strings.Fields(line))
		}
		dir.Check(t, filepath.Base(file), []byte(out.String()))
	})
}
