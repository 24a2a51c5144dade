package proxy

import (
	"context"
	"net"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leno-mesh/leno/proxy/telemetry"
)

// TestEndsOfAFlow: what steps have asked for is done once, the last first, and before the connection counts as over, whether they come
// to their end or one of them is a defect.
func TestEndsOfAFlow(t *testing.T) {
	for name, last := range map[string]step{
		"proper end": func(context.Context, *flow) step { return nil },
		"defect":     func(context.Context, *flow) step { panic("defect") },
	} {
		t.Run(name, func(t *testing.T) {
			p := &Proxy{opts: Options{Counters: telemetry.NewCounters(prometheus.NewRegistry())}}
			var done []string
			note := func(what string) func() {
				return func() {
					if p.active.Active() != 1 {
						t.Errorf("%d connections are active in an end", p.active.Active())
					}
					done = append(done, what)
				}
			}
			handle := p.carrier(telemetry.Outbound, func(_ context.Context, f *flow) step {
				f.atEnd(note("first"))
				return func(_ context.Context, f *flow) step {
					f.atEnd(note("second"))
					return last
				}
			})
			client, server := net.Pipe()
			defer func() { _, _ = client.Close(), server.Close() }()
			func() {
				defer func() { _ = recover() }() // as whoever accepts does
				handle(t.Context(), server)
			}()
			if !slices.Equal(done, []string{"second", "first"}) || p.active.Active() != 0 {
				t.Errorf("done: %q, %d connections are active", done, p.active.Active())
			}
		})
	}
}
