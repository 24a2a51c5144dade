package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/sidecar"
)

const (
	// grace is how long a command that was told to stop may take, as in a pod.
	grace = 30 * time.Second
	// probeEvery is how often it is tried whether a command listens.
	probeEvery = 25 * time.Millisecond
	// Restarts wait from firstBackoff, doubled up to maxBackoff.
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// news is what a pod reports to the runner's loop.
type news struct {
	pod *pod
	// ready tells whether both the sidecar and the command take connections.
	ready bool
	// gone tells that nothing of the pod is left.
	gone bool
	// text for the user, empty for none.
	text string
}

// pod is a planned pod that runs: a sidecar, and a command but for local.You. Its goroutines end with run.
type pod struct {
	plan  *local.Pod
	ports []uint16 // that the command is to listen on
	world *world

	mu      sync.Mutex // guards what follows
	spec    sidecar.Spec
	stdin   *json.Encoder // of the running sidecar; nil when there is none
	ready   [2]bool       // sidecar, command
	reached chan struct{} // closed when the sidecar was ready for the first time
}

// world is what all pods of a run share.
type world struct {
	sidecar []string // the command line of a sidecar
	path    string   // PATH of the commands
	log     func(source, line string)
	news    chan<- news
	hurry   <-chan struct{} // closed when everything is to end at once
}

const (
	sidecarPart = iota
	commandPart
)

func newPod(plan *local.Pod, spec sidecar.Spec, w *world) *pod {
	p := &pod{plan: plan, spec: spec, world: w, reached: make(chan struct{})}
	for _, listen := range spec.Inbound {
		p.ports = append(p.ports, listen.At.Port())
	}
	p.ready[commandPart] = !plan.Runs()
	return p
}

// run keeps the pod going until ctx ends, then ends the command, then the sidecar, and reports that the pod is gone.
func (p *pod) run(ctx context.Context) {
	sidecarCtx, endSidecar := context.WithCancel(context.WithoutCancel(ctx))
	defer endSidecar()
	var parts sync.WaitGroup
	parts.Go(func() { p.keep(sidecarCtx, sidecarPart, "sidecar", 2*time.Second, p.startSidecar) })
	if p.plan.Runs() {
		select {
		case <-p.reached:
			p.keep(ctx, commandPart, "command", grace, p.startCommand)
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	endSidecar()
	parts.Wait()
	p.report(news{gone: true})
}

// keep starts a part again whenever it ends, until ctx ends.
func (p *pod) keep(ctx context.Context, part int, name string, grace time.Duration, start func(context.Context) (*process, error)) {
	backoff := firstBackoff
	for ctx.Err() == nil {
		began := time.Now()
		proc, err := start(ctx)
		if err == nil {
			select {
			case <-proc.exited:
				err = fmt.Errorf("%s ended: %v", name, exitText(proc.err))
			case <-ctx.Done():
				proc.stop(grace, p.world.hurry)
				return
			}
		}
		p.setReady(part, false, err.Error())
		if time.Since(began) > maxBackoff {
			backoff = firstBackoff
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (p *pod) startSidecar(context.Context) (*process, error) {
	proc, err := start(command{
		path: p.world.sidecar[0], args: p.world.sidecar[1:], env: os.Environ(),
		stdout: func(line string) {
			if line == sidecar.ReadyLine {
				p.setReady(sidecarPart, true, "")
			}
		},
		stderr: func(line string) { p.world.log(p.plan.Name.Name+" (sidecar)", line) },
	})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stdin = json.NewEncoder(proc.stdin)
	if err := p.stdin.Encode(p.spec); err != nil {
		proc.stop(0, p.world.hurry)
		return nil, fmt.Errorf("sidecar does not read its orders: %w", err)
	}
	return proc, nil
}

// update tells the running sidecar of other addresses; one that is started later reads them first.
func (p *pod) update(spec sidecar.Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	spec.Manager, spec.Roots, spec.Token = p.spec.Manager, p.spec.Roots, p.spec.Token
	p.spec = spec
	if p.stdin != nil {
		_ = p.stdin.Encode(spec) // if it just ended, its successor reads it
	}
}

func (p *pod) startCommand(ctx context.Context) (*process, error) {
	log := func(line string) { p.world.log(p.plan.Name.Name, line) }
	proc, err := start(command{
		path: "/bin/sh", args: []string{"-c", shellText(p.plan.Command)}, stdout: log, stderr: log,
		env: commandEnvironment(os.Environ(), p.world.path, p.plan.Env),
	})
	if err != nil {
		return nil, err
	}
	go p.probe(ctx, proc)
	return proc, nil
}

// simple is a command line that the shell may become: one program, nothing for the shell to do after it.
var simple = regexp.MustCompile("^[\\w./-]+( [^;&|()`\n]*)?$")

// shellText lets the shell become the command where it can: whatever ends the shell then ends the command.
func shellText(command string) string {
	if simple.MatchString(command) {
		return "exec " + command
	}
	return command
}

// commandEnvironment is ours with another PATH, and the pod's over it.
func commandEnvironment(own []string, path string, pod []string) []string {
	var env []string
	for _, pair := range own {
		if !strings.HasPrefix(pair, "PATH=") {
			env = append(env, pair)
		}
	}
	return append(append(env, "PATH="+path), pod...)
}

// probe waits until the command listens on all its ports.
func (p *pod) probe(ctx context.Context, proc *process) {
	ticks := time.NewTicker(probeEvery)
	defer ticks.Stop()
	for !p.listens() {
		select {
		case <-ctx.Done():
			return
		case <-proc.exited:
			return
		case <-ticks.C:
		}
	}
	p.setReady(commandPart, true, "")
}

func (p *pod) listens() bool {
	for _, port := range p.ports {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(p.plan.App.String(), strconv.Itoa(int(port))), time.Second)
		if err != nil {
			return false
		}
		conn.Close()
	}
	return true
}

func (p *pod) setReady(part int, ready bool, text string) {
	p.mu.Lock()
	p.ready[part] = ready
	both := p.ready[sidecarPart] && p.ready[commandPart]
	if part == sidecarPart && !ready {
		p.stdin = nil
	}
	if part == sidecarPart && ready {
		select {
		case <-p.reached:
		default:
			close(p.reached)
		}
	}
	p.mu.Unlock()
	p.report(news{ready: both, text: text})
}

func (p *pod) report(n news) {
	n.pod = p
	p.world.news <- n
}

// health is where the sidecar shows its metrics.
func (p *pod) health() netip.AddrPort { return sidecar.HealthAddress(p.plan.IP) }
