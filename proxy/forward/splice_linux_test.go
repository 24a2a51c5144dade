package forward_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pipes is how many ends of pipes this process has open, but for those it was started with.
func pipes(t *testing.T) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	given := []string{"0", "1", "2"}
	n := 0
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err == nil && strings.HasPrefix(to, "pipe:") && !slices.Contains(given, filepath.Base(fd)) {
			n++
		}
	}
	return n
}

// TestLargeBodiesAreSpliced: nothing of them is lost or twice there, and both connections go on.
func TestLargeBodiesAreSpliced(t *testing.T) {
	w, b := one(t)
	c := w.dial()
	size := 3 << 20
	body := pattern(size)
	var up *client
	for i := range 3 {
		c.send(plainGet)
		if i == 0 {
			up = b.accept()
		}
		up.head()
		go io.WriteString(up.conn, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body))
		c.head()
		got := make([]byte, size)
		if _, err := io.ReadFull(c.r, got); err != nil || string(got) != body {
			t.Fatalf("the body did not arrive as it was (%v)", err)
		}
		if r := w.record(); r.BytesOut != int64(size) || r.Flag != "" {
			t.Errorf("record %+v", r)
		}
	}
	if pipes(t) == 0 { // they are kept for a while
		t.Error("no pipe was used")
	}
}

// TestSplicedBodyThatBreaks: whichever side fails in the middle, the other one learns of it and the right one is blamed.
func TestSplicedBodyThatBreaks(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
	begin := func(t *testing.T) (*world, *client, *client) {
		w, b := one(t)
		c := w.dial()
		c.send(plainGet)
		up := b.accept()
		up.head()
		up.send(head)
		c.expect(head)
		for range 10 { // more than is copied before splicing begins
			go io.WriteString(up.conn, pattern(100<<10))
			if _, err := io.CopyN(io.Discard, c.r, 100<<10); err != nil {
				t.Fatal(err)
			}
		}
		return w, c, up
	}
	t.Run("backend", func(t *testing.T) {
		w, c, up := begin(t)
		up.conn.Close()
		if rest, err := c.rest(); err == nil {
			t.Errorf("an orderly end after %d bytes", len(rest))
		}
		if r := w.record(); r.Flag != "upstream_reset" || r.BytesOut < 1000<<10 {
			t.Errorf("record %+v", r)
		}
	})
	t.Run("client", func(t *testing.T) {
		w, c, up := begin(t)
		c.conn.Close()
		for piece := pattern(1 << 20); ; { // until the backend is let go
			if _, err := io.WriteString(up.conn, piece); err != nil {
				break
			}
		}
		if r := w.record(); r.Flag != "client_gone" {
			t.Errorf("record %+v", r)
		}
	})
	t.Run("context", func(t *testing.T) {
		w, c, up := begin(t)
		w.cut()
		w.wg.Wait()
		if rest, _ := c.rest(); rest != "" {
			t.Errorf("%d bytes that were never sent", len(rest))
		}
		if _, err := up.rest(); err != nil {
			t.Errorf("backend: %v", err)
		}
	})
}
