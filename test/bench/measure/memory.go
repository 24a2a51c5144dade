package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/load"
	"github.com/leno-mesh/leno/test/bench/proc"
	"github.com/leno-mesh/leno/test/bench/report"
	"github.com/leno-mesh/leno/test/bench/scenario"
)

// MemorySettings say how memory is measured.
type MemorySettings struct {
	Rate        float64       // requests per second
	Loaded      time.Duration // how long they go on
	Connections int           // that rest
	Wait        time.Duration // after they have gone
}

// Pauses before memory is looked at.
const (
	settle = 2 * time.Second  // after the start, and after load
	rest   = 30 * time.Second // proxies have noticed by then, and given back what they can
)

// size of the answers.
const memoryAnswer = 1 << 10

// Memory measures what the proxies need, one after the other.
func (b *Bench) Memory(ctx context.Context, contenders []*contender.Contender, m MemorySettings) (report.Memory, error) {
	out := report.Memory{Rate: m.Rate, Connections: m.Connections}
	var all []*memory
	defer func() {
		for _, one := range all {
			one.runner.stop()
		}
	}()
	for _, c := range contenders {
		if c.PlainOnly {
			continue // the floor understands nothing that it could keep
		}
		b.Printf("  %s\n", c.Name)
		r, err := b.start(c, scenario.Scenario{Name: "memory", Protocol: contender.HTTP1, Shape: scenario.Plain})
		if err != nil {
			return out, err
		}
		one := &memory{runner: r, used: &report.MemoryUsed{Name: c.Name}}
		all = append(all, one)
		out.Results = append(out.Results, one.used)
		if err := one.use(ctx, m); err != nil {
			if ctx.Err() != nil {
				return out, context.Cause(ctx)
			}
			one.used.Failed = err.Error()
			b.Printf("  %s FAILED: %v\n", c.Name, err)
		}
	}
	b.Printf("  waiting until connections have been gone for %v\n", m.Wait)
	for _, one := range all {
		if one.used.Failed != "" {
			continue
		}
		if err := wait(ctx, time.Until(one.gone.Add(m.Wait))); err != nil {
			return out, err
		}
		rss, err := proc.RSS(one.runner.processes...)
		if err != nil {
			return out, err
		}
		one.used.After, one.used.Wait = rss, time.Since(one.gone).Seconds()
	}
	return out, nil
}

// memory is one proxy whose memory is measured.
type memory struct {
	runner *runner
	used   *report.MemoryUsed
	gone   time.Time // when the connections were closed
}

// use puts load and connections on the proxy.
func (m *memory) use(ctx context.Context, settings MemorySettings) error {
	if err := m.look(ctx, settle, &m.used.Idle); err != nil {
		return err
	}
	if err := m.load(ctx, settings); err != nil {
		return err
	}
	if err := m.look(ctx, settle, &m.used.Before); err != nil {
		return err
	}
	workers, err := m.open(settings.Connections)
	defer func() {
		load.CloseAll(workers)
		m.gone = time.Now()
	}()
	if err != nil {
		return err
	}
	for i, w := range workers {
		if err := w.Do(); err != nil {
			return fmt.Errorf("connection %d of %d: %w", i+1, len(workers), err)
		}
	}
	return m.look(ctx, rest, &m.used.Resting)
}

func (m *memory) open(n int) ([]load.Worker, error) {
	return load.HTTP1(m.runner.address, fmt.Sprintf("/%d", memoryAnswer), memoryAnswer, n)
}

// look waits, and stores how much memory the proxy has.
func (m *memory) look(ctx context.Context, after time.Duration, into *int64) error {
	if err := wait(ctx, after); err != nil {
		return err
	}
	rss, err := proc.RSS(m.runner.processes...)
	*into = rss
	return err
}

// load runs requests at the fixed rate, and stores the most memory that was seen.
func (m *memory) load(ctx context.Context, settings MemorySettings) error {
	workers, err := m.open(32)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := load.Paced(workers, settings.Rate, 0, settings.Loaded)
		ended <- err
	}()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			load.CloseAll(workers)
			<-ended //nolint:errcheck // ctx tells why
			return context.Cause(ctx)
		case <-look.C:
			rss, err := proc.RSS(m.runner.processes...)
			if err != nil {
				return err
			}
			m.used.Loaded = max(m.used.Loaded, rss)
		}
	}
}
