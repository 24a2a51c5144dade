// Package measure runs the contenders of a scenario against each other, round by round in turn, so that whatever the
// machine does meanwhile happens to all.
package measure

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/proc"
	"github.com/leno-mesh/leno/test/bench/report"
	"github.com/leno-mesh/leno/test/bench/scenario"
)

// Bench is everything that scenarios share.
type Bench struct {
	Settings     report.Settings
	Contenders   []*contender.Contender // those that can run
	Certificates *contender.Certificates
	// Backend has an address for each protocol.
	Backend map[contender.Protocol]string
	Dir     string // for files of the run
	Core    int    // of the proxies
	Out     io.Writer
	// Profiles is a directory for CPU profiles of Leno, taken in rounds of their own; empty: none.
	Profiles string
}

// Scenario measures all contenders in a scenario.
func (b *Bench) Scenario(ctx context.Context, s scenario.Scenario) (report.Scenario, error) {
	out := report.Scenario{Name: s.Name, Unit: s.Unit}
	var runners []*runner
	defer func() {
		for _, r := range runners {
			r.stop()
		}
	}()
	for _, c := range b.Contenders {
		if !c.Speaks(s.Protocol) || s.Shape != scenario.Plain && c.PlainOnly || s.Hybrid && c.NoHybrid {
			continue
		}
		r, err := b.start(c, s)
		if err != nil {
			return out, err
		}
		runners = append(runners, r)
		out.Results = append(out.Results, r.result)
	}
	for range b.Settings.Rounds {
		for _, r := range runners {
			r.try(ctx, &r.result.Failed, func() error { return r.closed(ctx) })
		}
	}
	if !s.NoPace {
		out.Pace = pace(out.Results, b.Settings.Share)
	}
	for range b.Settings.LatencyRounds() {
		for _, r := range runners {
			if out.Pace > 0 {
				r.try(ctx, &r.result.Late, func() error { return r.paced(out.Pace) })
			}
		}
	}
	for _, r := range runners {
		r.try(ctx, &r.result.Failed, r.note)
		if err := r.profile(ctx); err != nil {
			return out, err
		}
	}
	return out, context.Cause(ctx)
}

// pace is the rate for latencies: a part of what the slowest contender reached, so that none is near its limit.
func pace(results []*report.Result, share float64) float64 {
	slowest := 0.0
	for _, r := range results {
		if len(r.PerSecond) == 0 {
			continue
		}
		if reached := report.Median(r.PerSecond); slowest == 0 || reached < slowest {
			slowest = reached
		}
	}
	return float64(int(slowest * share))
}

// start runs a contender's processes for a scenario.
func (b *Bench) start(c *contender.Contender, s scenario.Scenario) (*runner, error) {
	r := &runner{bench: b, scenario: s, result: &report.Result{Name: c.Name}}
	dir, err := os.MkdirTemp(b.Dir, c.Name+"-")
	if err != nil {
		return nil, err
	}
	hops, err := b.hops(s)
	if err != nil {
		return nil, err
	}
	// The last hop first: the first one may look for its upstream at once.
	for i := len(hops) - 1; i >= 0; i-- {
		p, err := c.Start(dir, b.Core, hops[i])
		if err != nil {
			r.stop()
			return nil, err
		}
		r.processes = append(r.processes, p)
		r.debug = append(r.debug, hops[i].Debug)
	}
	r.address = hops[0].Listen
	r.counts = c.CountsAllocs
	r.result.Idle, err = proc.RSS(r.processes...)
	if err != nil {
		r.stop()
	}
	return r, err
}

// hops of a scenario, from the client to the backend.
func (b *Bench) hops(s scenario.Scenario) ([]contender.Hop, error) {
	addresses, err := Free(4)
	if err != nil {
		return nil, err
	}
	backend := b.Backend[s.Protocol]
	first := contender.Hop{
		Protocol: s.Protocol, Big: s.Big, Listen: addresses[0], Upstream: backend, Debug: addresses[1],
		Own: b.Certificates.Client, Roots: b.Certificates.Roots,
	}
	if s.Shape == scenario.Plain {
		return []contender.Hop{first}, nil
	}
	last := first
	last.Hybrid = s.Hybrid
	last.Listen, last.Debug, last.ListenTLS, last.Own = addresses[2], addresses[3], true, b.Certificates.Server
	last.Peer = b.Certificates.ClientID.String()
	if s.Shape == scenario.Server {
		return []contender.Hop{last}, nil
	}
	first.Upstream, first.UpstreamTLS, first.Peer = last.Listen, true, b.Certificates.ServerID.String()
	return []contender.Hop{first, last}, nil
}

// Printf reports progress.
func (b *Bench) Printf(format string, args ...any) { _, _ = fmt.Fprintf(b.Out, format, args...) }

// warm is how long a round of that length runs before it is measured.
func warm(round time.Duration) time.Duration { return min(round/4, 500*time.Millisecond) }
