// Command bench measures Leno beside nginx, HAProxy, Envoy and a bare relay of bytes: one load generator and one backend
// on one core, the proxy on another, with one worker. It needs Linux and two cores, no root. See -help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/test/bench/contender"
	"github.com/leno-mesh/leno/test/bench/control"
	"github.com/leno-mesh/leno/test/bench/measure"
	"github.com/leno-mesh/leno/test/bench/proc"
	"github.com/leno-mesh/leno/test/bench/report"
	"github.com/leno-mesh/leno/test/bench/scenario"
)

// The two cores: clients and backend share one, so that the proxy has the other for itself.
const (
	loadCore  = 0
	proxyCore = 1
)

// options of a run.
type options struct {
	scenarios, contenders string
	cache, profiles, out  string
	settings              report.Settings
	memory                measure.MemorySettings
}

func main() {
	var o options
	cache, _ := os.UserCacheDir() // without a home the flag must be set
	flag.StringVar(&o.scenarios, "scenarios", "", "regular expression for whole names of scenarios (-list shows them); empty: all")
	flag.StringVar(&o.contenders, "contenders", "", "regular expression for whole names of proxies; empty: all")
	flag.IntVar(&o.settings.Rounds, "rounds", 5, "rounds of each proxy in each scenario; the median counts")
	flag.DurationVar(&o.settings.Duration, "duration", time.Second, "length of a round")
	flag.Float64Var(&o.settings.Share, "pace", 0.5, "fixed rate for latencies, as a part of what the slowest proxy reached; 0: no latencies")
	flag.Float64Var(&o.memory.Rate, "memory-rate", 2000, "requests per second while memory is measured")
	flag.DurationVar(&o.memory.Loaded, "memory-load", 10*time.Second, "how long they go on")
	flag.IntVar(&o.memory.Connections, "memory-connections", 10_000, "connections that rest while memory is measured")
	flag.DurationVar(&o.memory.Wait, "memory-wait", 2*time.Minute, "how long after they have gone memory is measured again")
	flag.StringVar(&o.cache, "cache", filepath.Join(cache, "leno-bench"), "directory that keeps what was fetched")
	flag.StringVar(&o.profiles, "profiles", "", "directory for CPU profiles of Leno, taken in rounds of their own; empty: none")
	flag.StringVar(&o.out, "out", "", "directory for the report; empty: none is written")
	list := flag.Bool("list", false, "show the names of all scenarios")
	flag.Parse()
	if *list {
		for _, name := range append(scenario.Names(), memoryName) {
			fmt.Println(name)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run prepares what all scenarios need, and reports what they found.
func run(ctx context.Context, o options) error {
	if runtime.NumCPU() < 2 {
		return errors.New("needs two cores: one for load and backend, one for the proxy")
	}
	chosen, err := choose(o.scenarios)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "leno-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &measure.Bench{Settings: o.settings, Dir: dir, Core: proxyCore, Out: os.Stdout, Profiles: o.profiles}
	if b.Certificates, err = contender.NewCertificates(dir); err != nil {
		return err
	}
	found := &report.Run{Date: time.Now(), Commit: commit(), Settings: o.settings}
	if found.Machine, err = machine(); err != nil {
		return err
	}
	if b.Contenders, err = contenders(o, dir, found); err != nil {
		return err
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return err
		}
	}
	before, err := now()
	if err != nil {
		return err
	}
	if err := all(ctx, o, b, chosen, found); err != nil {
		return err
	}
	after, err := now()
	if err != nil {
		return err
	}
	found.Machine.Others = after.others(before)
	found.Bars = found.Judge()
	if err := found.WriteBars(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("other programs used %.0f%% of the machine meanwhile\n", 100*found.Machine.Others)
	if o.out == "" {
		return nil
	}
	base, err := found.Save(o.out)
	if err == nil {
		fmt.Printf("written: %s.md, .json, .svg\n", base)
	}
	return err
}

// all runs the scenarios. The backend ends with them.
func all(ctx context.Context, o options, b *measure.Bench, chosen selection, found *report.Run) error {
	backend, err := startBackend(b)
	if err != nil {
		return err
	}
	defer backend.Stop()
	if err := proc.Bind(loadCore); err != nil {
		return err
	}
	// Two: the thread that keeps the pace sleeps in the kernel, the other works.
	runtime.GOMAXPROCS(2)
	for i, s := range chosen.scenarios {
		b.Printf("%s (%d of %d)\n", s.Name, i+1, len(chosen.scenarios))
		one, err := b.Scenario(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		found.Scenarios = append(found.Scenarios, one)
		if err := one.Table(os.Stdout); err != nil {
			return err
		}
	}
	if !chosen.memory {
		return nil
	}
	return memory(ctx, o, b, found)
}

// memory measures it, of Leno with everything that a sidecar has.
func memory(ctx context.Context, o options, b *measure.Bench, found *report.Run) error {
	b.Printf("%s\n", memoryName)
	plane, err := control.Start(b.Dir, b.Backend[contender.HTTP1])
	if err != nil {
		return err
	}
	defer plane.Stop()
	taking := slices.Clone(b.Contenders)
	for i, c := range taking {
		if c.Name == "leno" {
			taking[i] = contender.Sidecar(filepath.Join(b.Dir, "leno"), c.Version, plane.Address, plane.Token, plane.Roots)
		}
	}
	if found.Memory, err = b.Memory(ctx, taking, o.memory); err != nil {
		return fmt.Errorf("%s: %w", memoryName, err)
	}
	return found.Memory.Table(os.Stdout)
}

// startBackend runs the backend beside the load generator.
func startBackend(b *measure.Bench) (*proc.Process, error) {
	path, err := contender.Build(b.Dir, "backend")
	if err != nil {
		return nil, err
	}
	at, err := measure.Free(3)
	if err != nil {
		return nil, err
	}
	b.Backend = map[contender.Protocol]string{contender.HTTP1: at[0], contender.HTTP2: at[1], contender.GRPC: at[1], contender.TCP: at[2]}
	return proc.Start(proc.Spec{
		Name: "backend", Path: path, Args: []string{"-http1", at[0], "-http2", at[1], "-tcp", at[2]}, Env: []string{"GOMAXPROCS=1"},
		Dir: b.Dir, Core: loadCore, Ready: at[0],
	})
}
