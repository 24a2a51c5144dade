//go:build fault

package fault_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/manifest"
	"github.com/leno-mesh/leno/internal/local/plane"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/test/fault/loopback"
)

// patience is how long a test waits for something that must happen soon, on a machine under load.
const patience = 30 * time.Second

// cluster is a control plane in this process, a sidecar per pod in processes of their own, and their applications in
// this process.
type cluster struct {
	t        *testing.T
	lifetime time.Duration // of certificates
	near     netip.Addr    // at which the server's sidecar listens too; optional
	options  local.Options
	log      *slog.Logger

	plane   *plane.Plane
	address string // of the control plane
	stop    func() // ends the control plane; waits for it

	plan    *local.Plan
	objects []snapshot.Object
	phases  map[mesh.Name]local.Phase
	tokens  map[mesh.Name]string
	pods    map[string]*pod // by Deployment
	clients []net.Conn      // opened by dial
	kept    int             // bytes of heap that the Go runtime keeps for good
}

// pod is a pod of the cluster.
type pod struct {
	*local.Pod
	sidecar *child
	app     *app
	before  usage // of the sidecar, when it was ready
}

// start runs manifests and waits until every pod is ready. Everything ends with the test.
func start(t *testing.T, lifetime time.Duration, manifests ...string) *cluster {
	t.Helper()
	return startNear(t, netip.Addr{}, lifetime, manifests...)
}

// startNear is start with a sidecar of the server that listens at one more address.
func startNear(t *testing.T, near netip.Addr, lifetime time.Duration, manifests ...string) *cluster {
	t.Helper()
	c := &cluster{
		t: t, lifetime: lifetime, near: near, options: local.Options{LowestPort: 1024, Salt: t.Name()},
		log:    slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		phases: map[mesh.Name]local.Phase{}, tokens: map[mesh.Name]string{}, pods: map[string]*pod{},
	}
	c.startPlane(nil)
	t.Cleanup(func() { c.stop() })
	c.plan = local.New(c.read(manifests), c.options)
	for _, planned := range c.plan.Pods {
		if planned.Runs() {
			c.startPod(planned)
		}
	}
	c.publish()
	c.plane.Synced()
	for _, p := range c.pods {
		c.eventually("pod "+p.Owner+" is ready", func() bool { return p.sidecar.ask("/ready") != "" })
	}
	for _, p := range c.pods {
		p.before = p.sidecar.usage(t)
	}
	return c
}

// startPlane starts a control plane; with a predecessor's authority at the predecessor's address, with what it knew.
func (c *cluster) startPlane(predecessor *plane.Plane) {
	c.t.Helper()
	options, address := plane.Options{Lifetime: c.lifetime, Log: c.log}, "127.0.0.1:0"
	if predecessor != nil {
		options.CA, address = predecessor.CA(), c.address
	}
	p, err := plane.New(options)
	if err != nil {
		c.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, listener) }()
	c.plane, c.address = p, listener.Addr().String()
	c.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	})
	if predecessor == nil {
		return
	}
	for name, token := range c.tokens {
		p.Adopt(token, c.caller(name))
	}
	c.send(local.Diff(nil, c.objects))
	p.Synced()
}

func (c *cluster) caller(name mesh.Name) enroll.Caller {
	return enroll.Caller{Namespace: name.Namespace, ServiceAccount: c.plan.Pod(name).ServiceAccount, Pod: name.Name}
}

func (c *cluster) send(events []snapshot.Event) {
	c.t.Helper()
	if err := c.plane.Send(c.t.Context(), events...); err != nil {
		c.t.Fatal(err)
	}
}

// apply makes the manifests all that there is; they must name the same pods.
func (c *cluster) apply(manifests ...string) {
	c.t.Helper()
	c.plan = local.New(c.read(manifests), c.options)
	c.publish()
}

// phase tells how far a pod is: one that terminates gets no new connections.
func (c *cluster) phase(owner string, phase local.Phase) {
	c.t.Helper()
	c.phases[c.pods[owner].Name] = phase
	c.publish()
}

func (c *cluster) publish() {
	c.t.Helper()
	var running []local.Running
	for _, p := range c.pods {
		phase, told := c.phases[p.Name]
		if !told {
			phase = local.Ready
		}
		running = append(running, local.Running{Pod: p.Pod, Phase: phase})
	}
	objects := c.plan.Objects(running)
	events := local.Diff(c.objects, objects)
	c.objects = objects
	c.send(events)
}

func (c *cluster) read(manifests []string) []local.Object {
	c.t.Helper()
	var objects []local.Object
	for _, text := range manifests {
		read := manifest.Read("manifests", []byte(text))
		for _, problem := range read.Problems {
			c.t.Error(problem)
		}
		for _, item := range read.Items {
			objects = append(objects, item.Object)
		}
	}
	return objects
}

func (c *cluster) startPod(planned *local.Pod) {
	c.t.Helper()
	token := c.plane.Token(enroll.Caller{Namespace: planned.Namespace, ServiceAccount: planned.ServiceAccount, Pod: planned.Name.Name})
	c.tokens[planned.Name] = token
	spec := loopback.Spec{
		Namespace: planned.Namespace, Pod: planned.Name.Name, ServiceAccount: planned.ServiceAccount, TrustDomain: "cluster.local",
		Manager: c.address, Roots: string(c.plane.Roots()), Token: token, IP: planned.IP, App: planned.App,
		Admin: netip.AddrPortFrom(planned.IP, mesh.PortAdmin), DrainMax: patience, DrainQuiet: 200 * time.Millisecond,
	}
	for _, port := range planned.Ports {
		spec.Inbound = append(spec.Inbound, netip.AddrPortFrom(planned.IP, port))
		if c.near.IsValid() && planned.Owner == "server" {
			spec.Inbound = append(spec.Inbound, netip.AddrPortFrom(c.near, port))
		}
	}
	for _, alias := range planned.Aliases {
		spec.Outbound = append(spec.Outbound, loopback.Way{At: alias.Listen, Original: alias.Original})
	}
	p := &pod{Pod: planned, app: startApp(c.t, planned)}
	p.sidecar = startChild(c.t, spec)
	c.pods[planned.Owner] = p
}

// way is where the application of the client dials a Service, as "server:80".
func (c *cluster) way(service string) string {
	c.t.Helper()
	for _, alias := range c.pods["client"].Aliases {
		if service == alias.Service.Name.Name+":"+strconv.Itoa(int(alias.Service.Port)) {
			return alias.Listen.String()
		}
	}
	c.t.Fatalf("no way to Service %s", service)
	return ""
}

// eventually waits until check holds.
func (c *cluster) eventually(what string, check func() bool) {
	c.t.Helper()
	c.within(patience, what, check)
}

func (c *cluster) within(limit time.Duration, what string, check func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for !check() {
		select {
		case <-deadline.C:
			c.t.Fatalf("%s: not within %s", what, limit)
		case <-ticks.C:
		}
	}
}

// What may stay behind after a scenario. Two goroutines and files are those of a measurement itself; the heap keeps what
// the sidecar learnt of destinations, and its metrics.
const (
	spare        = 2
	spareHeap    = 3 << 20
	untilPoolsGo = 90 * time.Second // idle upstream connections are kept for 30 s, and swept every 15
)

// clean waits until each sidecar holds what it held when it was ready, and no application has a connection left. Clients
// must be done; what dial opened is closed.
func (c *cluster) clean() {
	c.t.Helper()
	for _, conn := range c.clients {
		_ = conn.Close()
	}
	for _, p := range c.pods {
		if p.sidecar.ended() {
			continue
		}
		var now usage
		deadline := time.Now().Add(untilPoolsGo)
		ticks := time.NewTicker(250 * time.Millisecond)
		defer ticks.Stop()
		for {
			now = p.sidecar.usage(c.t)
			if now.goroutines <= p.before.goroutines+spare && now.files <= p.before.files+spare && now.heap <= p.before.heap+spareHeap+c.kept {
				break
			}
			if time.Now().After(deadline) {
				c.t.Errorf("sidecar of %s leaks: %s before, %s after\n%s", p.Owner, p.before, now, p.sidecar.ask("/debug/pprof/goroutine?debug=1"))
				break
			}
			<-ticks.C
		}
		c.t.Logf("sidecar of %s: %s before, %s after", p.Owner, p.before, now)
	}
	for _, p := range c.pods {
		c.within(untilPoolsGo, "the application of "+p.Owner+" has no connection left", func() bool { return p.app.open() == 0 })
	}
}

func (c *child) ended() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// deployment is one pod with a ServiceAccount of its name, behind Services of its label "app".
func deployment(name, app string) string {
	return strings.NewReplacer("NAME", name, "APP", app).Replace(`
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: fault, name: NAME}
spec:
  selector: {matchLabels: {version: NAME}}
  template:
    metadata: {labels: {app: APP, version: NAME}, annotations: {mesh.leno.dev/run: in this process}}
    spec: {serviceAccountName: NAME, containers: [{name: app}]}
`)
}

// service has all the ports of an app; its pods are those with one label.
func service(name, label string) string {
	return strings.NewReplacer("NAME", name, "LABEL", label).Replace(`
---
apiVersion: v1
kind: Service
metadata: {namespace: fault, name: NAME}
spec:
  selector: {LABEL}
  ports:
  - {name: http, port: 80, targetPort: 8080, appProtocol: http}
  - {name: raw, port: 81, targetPort: 8081, appProtocol: http}
  - {name: tcp, port: 7000, appProtocol: tcp}
  - {name: first, port: 9000}
  - {name: grpc, port: 9090, appProtocol: kubernetes.io/h2c}
`)
}

// route is an HTTPRoute on a port of the Service "server", with rules as YAML.
func route(name, port, rules string) string {
	return strings.NewReplacer("NAME", name, "PORT", port, "RULES", rules).Replace(`
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: fault, name: NAME}
spec:
  parentRefs: [{group: "", kind: Service, name: server, port: PORT}]
  rules: [RULES]
`)
}

// pair is a client and a server.
var pair = deployment("client", "client") + deployment("server", "server") + service("server", "app: server")
