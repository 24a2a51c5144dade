package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/plane"
	"github.com/leno-mesh/leno/internal/local/sidecar"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
)

// ratesEvery is how often the sidecars are asked what they did.
const ratesEvery = 5 * time.Second

// Options of a run.
type Options struct {
	// Paths of manifests: files and folders.
	Paths []string
	Stdin io.Reader
	// Out gets everything that is to be seen, line by line.
	Out io.Writer
	// Sidecar is the command line that starts a sidecar.
	Sidecar []string
	// Path is the PATH of the commands.
	Path string
	Log  *slog.Logger
}

// runner is one run. Its fields belong to the goroutine of loop.
type runner struct {
	options Options
	local   local.Options
	out     *printer
	plane   *plane.Plane
	manager string
	world   *world

	news     chan news
	statuses chan []status.Want
	changed  chan struct{}

	items       generations
	plan        *local.Plan
	pods        map[mesh.Name]*entry
	objects     []snapshot.Object
	shownStatus []status.Want
	trustDomain string
	announced   bool
	rates       *rates
}

// entry is a pod that was started.
type entry struct {
	pod   *pod
	phase local.Phase
	end   context.CancelFunc
}

// Run runs the manifests until ctx ends. It fails at once when they cannot be read or have mistakes; mistakes made later
// are shown, and the last good state is kept.
func Run(ctx context.Context, options Options) error {
	loaded, err := Load(options.Paths, options.Stdin)
	if err != nil {
		return err
	}
	out := &printer{out: options.Out}
	if len(loaded.Problems) > 0 {
		out.problems(loaded.Problems)
		return fmt.Errorf("%d mistakes in the manifests", len(loaded.Problems))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	r := &runner{
		options: options, out: out, local: local.Options{LowestPort: lowestPort()}, manager: listener.Addr().String(),
		news: make(chan news), statuses: make(chan []status.Want, 1), changed: make(chan struct{}, 1),
		pods: map[mesh.Name]*entry{}, trustDomain: trustDomainOf(loaded.Items), rates: newRates(),
	}
	r.world = &world{sidecar: options.Sidecar, path: options.Path, log: out.logLine, news: r.news, hurry: ctx.Done()}
	r.plane, err = plane.New(plane.Options{TrustDomain: r.trustDomain, Status: r.keepLatest, Log: options.Log})
	if err != nil {
		return err
	}
	// The parts around the loop end after the pods.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, 2)
	go func() { failed <- r.plane.Run(background, listener) }()
	go func() { failed <- Watch(background, options.Paths, r.changed) }()
	r.apply(ctx, loaded)
	r.plane.Synced()
	return r.loop(ctx, failed)
}

// lowestPort is 1024 where lower ports may not be bound.
func lowestPort() uint16 {
	listener, err := net.Listen("tcp", "127.96.255.254:80")
	if err != nil {
		return 1024
	}
	listener.Close()
	return 0
}

// keepLatest runs on the pipeline's goroutine and never blocks it: only the latest status counts.
func (r *runner) keepLatest(wants []status.Want) {
	for {
		select {
		case r.statuses <- wants:
			return
		case <-r.statuses:
		}
	}
}

func (r *runner) loop(ctx context.Context, failed <-chan error) error {
	ticks := time.NewTicker(ratesEvery)
	defer ticks.Stop()
	var err error
	done := ctx.Done()
	for {
		select {
		case <-done:
			done = nil
			r.out.line("stopping %d pods", len(r.pods))
		case err = <-failed:
			done = nil
			for _, e := range r.pods {
				e.end()
			}
			err = errors.Join(err, errors.New("the run cannot go on"))
		case n := <-r.news:
			r.hear(ctx, n)
		case wants := <-r.statuses:
			r.showStatus(wants)
		case <-r.changed:
			r.reload(ctx)
		case <-ticks.C:
			r.showRates(ctx)
		}
		if done == nil && len(r.pods) == 0 {
			return err
		}
	}
}

func (r *runner) reload(ctx context.Context) {
	loaded, err := Load(r.options.Paths, nil)
	switch {
	case err != nil:
		r.out.line("%v; keeping what runs", err)
	case len(loaded.Problems) > 0:
		r.out.problems(loaded.Problems)
		r.out.line("keeping the last good state")
	case trustDomainOf(loaded.Items) != r.trustDomain:
		r.out.line("the Mesh has another trust domain now: stop and run again for new identities; keeping what runs")
	default:
		r.out.line("manifests changed")
		r.apply(ctx, loaded)
	}
}

// apply makes what runs follow the manifests: new pods are started, known ones told of new addresses, and pods that are
// not planned any more end when those that stand for them are ready.
func (r *runner) apply(ctx context.Context, loaded Loaded) {
	r.plan = local.New(r.items.next(loaded.Items), r.local)
	for _, note := range r.plan.Notes {
		r.out.line("%s", note)
	}
	for _, skipped := range loaded.Skipped {
		r.out.line("%s: not of use to the mesh", skipped)
	}
	var started []*entry
	for _, planned := range r.plan.Pods {
		spec := sidecar.For(planned, r.local)
		if running := r.pods[planned.Name]; running != nil {
			spec.TrustDomain, spec.LogLevel = running.pod.spec.TrustDomain, running.pod.spec.LogLevel
			running.pod.update(spec)
			continue
		}
		spec.TrustDomain, spec.LogLevel = r.trustDomain, "warn"
		spec.Manager, spec.Roots = r.manager, string(r.plane.Roots())
		spec.Token = r.plane.Token(enroll.Caller{Namespace: planned.Namespace, ServiceAccount: planned.ServiceAccount, Pod: planned.Name.Name})
		e := &entry{pod: newPod(planned, spec, r.world)}
		r.pods[planned.Name] = e
		started = append(started, e)
	}
	r.publish(ctx)
	for _, e := range started {
		var podCtx context.Context
		podCtx, e.end = context.WithCancel(ctx)
		go e.pod.run(podCtx)
	}
	r.retire(ctx)
}

// retire ends pods that are not planned any more, once no pod of the same owner is starting.
func (r *runner) retire(ctx context.Context) {
	starting := map[mesh.Name]bool{}
	for _, e := range r.pods {
		if e.phase == local.Starting && r.plan.Pod(e.pod.plan.Name) != nil {
			starting[ownerOf(e.pod.plan)] = true
		}
	}
	var ending []*entry
	for name, e := range r.pods {
		if r.plan.Pod(name) == nil && e.phase != local.Terminating && !starting[ownerOf(e.pod.plan)] {
			e.phase = local.Terminating
			ending = append(ending, e)
		}
	}
	if len(ending) == 0 {
		return
	}
	r.publish(ctx)
	for _, e := range ending {
		e.end()
	}
}

func ownerOf(p *local.Pod) mesh.Name { return mesh.Name{Namespace: p.Namespace, Name: p.Owner} }

// publish tells the control plane what changed.
func (r *runner) publish(ctx context.Context) {
	var running []local.Running
	for _, e := range r.pods {
		running = append(running, local.Running{Pod: e.pod.plan, Phase: e.phase})
	}
	objects := r.plan.Objects(running)
	_ = r.plane.Send(ctx, local.Diff(r.objects, objects)...) // fails only when the run is over
	r.objects = objects
}

func (r *runner) hear(ctx context.Context, n news) {
	name := n.pod.plan.Name
	e := r.pods[name]
	if e == nil || e.pod != n.pod {
		return
	}
	if n.text != "" && ctx.Err() == nil && e.phase != local.Terminating {
		r.out.line("%s: %s; starting it again", name.Name, n.text)
	}
	switch {
	case n.gone:
		delete(r.pods, name)
		if ctx.Err() == nil {
			r.out.line("%s ended", name.Name)
		}
	case e.phase == local.Terminating:
		return
	case n.ready && e.phase == local.Starting:
		e.phase = local.Ready
	case !n.ready && e.phase == local.Ready:
		e.phase = local.Starting
	default:
		return
	}
	r.publish(ctx)
	r.retire(ctx)
	r.announce()
}

// announce prints what runs, once everything is ready.
func (r *runner) announce() {
	for _, e := range r.pods {
		if e.phase == local.Starting {
			return
		}
	}
	if !r.announced {
		r.announced = true
		r.out.overview(r.plan, r.options.Paths)
	}
}

func (r *runner) showStatus(wants []status.Want) {
	if changed := changedStatus(r.shownStatus, wants); len(changed) > 0 {
		r.out.status(changed)
	}
	r.shownStatus = wants
}

func (r *runner) showRates(ctx context.Context) {
	var sources []source
	for name, e := range r.pods {
		sources = append(sources, source{pod: name.String(), address: e.pod.health()})
	}
	for _, line := range r.rates.next(ctx, sources) {
		r.out.line("%s", line)
	}
}

func trustDomainOf(items []Item) string {
	for _, item := range items {
		if domain := trustDomain(item); domain != "" {
			return domain
		}
	}
	return graph.DefaultTrustDomain
}
