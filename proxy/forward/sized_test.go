package forward_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/proxy/config"
)

// TestSizedBodies: whatever its size, a body arrives as it was sent, behind a head that is shorter, as long, or longer than
// the backend's.
func TestSizedBodies(t *testing.T) {
	for name, change := range map[string]*config.HeaderChange{
		"shorter": {Remove: []string{"x-filler"}},
		"same":    nil,
		"longer":  {Set: []config.Header{{Name: "x-more", Value: strings.Repeat("m", 6<<10)}}},
		"huge":    {Set: []config.Header{{Name: "x-more", Value: strings.Repeat("m", 140<<10)}}}, // larger than any buffer
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.backend()
			w.cluster("c", b.addr())
			w.route(config.Entry{Match: config.Match{PathKind: config.PathPrefix, Path: "/"}, Action: &config.Action{
				ResponseHeaders: change, Backends: []config.Backend{to("c", 1)}}})
			c := w.dial()
			sizes := []int{0, 1, 1 << 10, 7 << 10, 9 << 10, 64 << 10, 300 << 10}
			go func() {
				up := b.accept()
				for _, size := range sizes {
					up.head()
					up.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Filler: %s\r\nContent-Length: %d\r\n\r\n%s", strings.Repeat("f", 100), size, pattern(size)))
				}
			}()
			for _, size := range sizes {
				c.send(plainGet)
				if head := c.head(); !strings.Contains(head, fmt.Sprintf("Content-Length: %d\r\n", size)) {
					t.Fatalf("%d bytes: head %.200q", size, head)
				}
				got := make([]byte, size)
				if _, err := io.ReadFull(c.r, got); err != nil || string(got) != pattern(size) {
					t.Fatalf("the body of %d bytes did not arrive as it was (%v)", size, err)
				}
				if r := w.record(); r.BytesOut != int64(size) || r.Code != 200 {
					t.Errorf("recorded %d bytes and code %d for %d bytes", r.BytesOut, r.Code, size)
				}
			}
		})
	}
}

// pattern is n bytes in which a shift or a gap shows.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()[:n]
}
