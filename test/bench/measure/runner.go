package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/load"
	"github.com/leno-mesh/leno/test/bench/proc"
	"github.com/leno-mesh/leno/test/bench/report"
	"github.com/leno-mesh/leno/test/bench/scenario"
)

// runner is one contender in one scenario, with its processes.
type runner struct {
	bench     *Bench
	scenario  scenario.Scenario
	processes []*proc.Process
	address   string
	debug     []string
	counts    bool // the debug addresses tell allocations
	result    *report.Result
}

func (r *runner) stop() {
	for _, p := range r.processes {
		p.Stop()
	}
}

// try does a round of this contender, unless an earlier one has failed for the reason that is noted in failed.
func (r *runner) try(ctx context.Context, failed *string, do func() error) {
	if r.result.Failed != "" || *failed != "" || ctx.Err() != nil {
		return
	}
	err := do()
	if err == nil || ctx.Err() != nil {
		return
	}
	*failed = err.Error()
	r.bench.Printf("  %-8s FAILED: %v\n", r.result.Name, err)
	for _, p := range r.processes {
		if text := p.Log(); text != "" {
			r.bench.Printf("  its log: %s\n", text)
		}
	}
}

// closed measures the cost of operations in a closed loop.
func (r *runner) closed(ctx context.Context) error {
	workers, err := r.scenario.Open(r.address, r.bench.Certificates)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	loop := load.Closed(workers)
	defer loop.Stop()
	if err := wait(ctx, warm(r.bench.Settings.Duration)); err != nil {
		return err
	}
	allocs, err := r.allocs()
	if err != nil {
		return err
	}
	before, err := r.look(loop)
	if err != nil {
		return err
	}
	if err := wait(ctx, r.bench.Settings.Duration); err != nil {
		return err
	}
	after, err := r.look(loop)
	if err != nil {
		return err
	}
	allocsAfter, err := r.allocs()
	if err != nil {
		return err
	}
	rss, err := proc.RSS(r.processes...)
	if err != nil {
		return err
	}
	n := float64(after.done - before.done)
	if n == 0 {
		return errors.New("no operation ended in the round")
	}
	one := r.result
	one.CPU = append(one.CPU, float64(after.cpu-before.cpu)/n)
	one.PerSecond = append(one.PerSecond, n/after.at.Sub(before.at).Seconds())
	one.Loaded = append(one.Loaded, float64(rss))
	if r.counts {
		one.Allocs = append(one.Allocs, float64(allocsAfter-allocs)/n)
	}
	r.bench.Printf("  %-8s %9.2f µs CPU per %s, %8.0f/s\n", one.Name, one.CPU[len(one.CPU)-1]/1e3, r.scenario.Unit, one.PerSecond[len(one.PerSecond)-1])
	return nil
}

// moment is the state of a round.
type moment struct {
	at   time.Time
	cpu  time.Duration
	done int64
}

func (r *runner) look(loop *load.Loop) (moment, error) {
	cpu, err1 := proc.CPU(r.processes...)
	done, err2 := loop.Done()
	return moment{time.Now(), cpu, done}, errors.Join(err1, err2)
}

// paced measures latencies at a fixed rate.
func (r *runner) paced(rate float64) error {
	workers, err := r.scenario.Open(r.address, r.bench.Certificates)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	before, err := proc.CPU(r.processes...)
	if err != nil {
		load.CloseAll(workers)
		return err
	}
	span := r.bench.Settings.LatencyRound()
	ahead := warm(span)
	seen, err := load.Paced(workers, rate, ahead, span)
	if err != nil {
		return err
	}
	after, err := proc.CPU(r.processes...)
	if err != nil {
		return err
	}
	one := r.result
	one.P50 = append(one.P50, float64(seen.Quantile(0.5)))
	one.P99 = append(one.P99, float64(seen.Quantile(0.99)))
	one.P999 = append(one.P999, float64(seen.Quantile(0.999)))
	one.PacedCPU = append(one.PacedCPU, float64(after-before)/(rate*(ahead+span).Seconds()))
	r.bench.Printf("  %-8s at %.0f/s: p50 %v, p99 %v, p99.9 %v\n", one.Name, rate, seen.Quantile(0.5), seen.Quantile(0.99), seen.Quantile(0.999))
	return nil
}

// allocs is how many heap objects the processes have allocated so far; 0 for those that do not tell.
func (r *runner) allocs() (int64, error) {
	if !r.counts {
		return 0, nil
	}
	var sum int64
	for _, address := range r.debug {
		text, err := get(address, "/allocs")
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Opaque is the note on figures of a proxy that has not looked into the requests it was given.
const Opaque = "relayed connections as opaque bytes: not comparable"

// note looks whether Leno has seen the requests of HTTP protocols as such: its metrics count them then.
func (r *runner) note() error {
	if !r.counts || r.scenario.Protocol == contender.TCP {
		return nil
	}
	for _, address := range r.debug {
		text, err := get(address, "/metrics")
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), "\nleno_requests_total{") {
			r.result.Note = Opaque
		}
	}
	return nil
}

// profile takes CPU profiles under load, when they are asked for and the contender can give them.
func (r *runner) profile(ctx context.Context) error {
	if r.bench.Profiles == "" || !r.counts || r.result.Failed != "" || ctx.Err() != nil {
		return nil
	}
	workers, err := r.scenario.Open(r.address, r.bench.Certificates)
	if err != nil {
		return err
	}
	loop := load.Closed(workers)
	defer loop.Stop()
	for i, address := range r.debug {
		profile, err := get(address, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(r.bench.Settings.Duration.Seconds()+0.5))))
		if err != nil {
			return err
		}
		file := filepath.Join(r.bench.Profiles, fmt.Sprintf("%s-%d.pprof", strings.ReplaceAll(r.scenario.Name, "/", "-"), i))
		if err := os.WriteFile(file, profile, 0o644); err != nil {
			return err
		}
		r.bench.Printf("  profile: %s\n", file)
	}
	return nil
}

func get(address, path string) ([]byte, error) {
	response, err := http.Get("http://" + address + path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// Free finds n loopback addresses that nobody uses.
func Free(n int) ([]string, error) {
	var addresses []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
