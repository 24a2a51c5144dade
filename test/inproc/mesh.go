// Package inproc runs a whole mesh in one process: manifests, the real pipeline, ADS over TLS on loopback, and a real proxy
// for each pod, with applications that are functions of the test. It needs neither root nor a cluster.
package inproc

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/local"
	"github.com/leno-mesh/leno/internal/local/manifest"
	"github.com/leno-mesh/leno/internal/local/plane"
	"github.com/leno-mesh/leno/internal/local/sidecar"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/status"
	"github.com/leno-mesh/leno/proxy/dns"
	"github.com/leno-mesh/leno/test/poll"
	"github.com/leno-mesh/leno/test/records"
)

// Namespace is the one that the tests' manifests use for most objects.
const Namespace = "inproc"

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

// Options of a Mesh.
type Options struct {
	// Lifetime of workload certificates; 0 is a day.
	Lifetime time.Duration
	// App chooses another application than the usual one for the pods of a Deployment; nil: none. It may return nil, too.
	App func(deployment string) Serve
	// Lookup stands for DNS; nil: this machine's resolver is asked.
	Lookup dns.Lookup
	// Unknown hears of connections to addresses that the mesh does not know. Optional.
	Unknown func(mesh.Sighting)
}

// Mesh is a running mesh.
type Mesh struct {
	T       testing.TB
	Plane   *plane.Plane
	options Options
	local   local.Options
	log     *slog.Logger

	address string // of the control plane
	stop    func() // ends the control plane; waits for it
	plan    *local.Plan
	objects []snapshot.Object
	tokens  map[mesh.Name]string
	pods    map[mesh.Name]*Pod

	mu     sync.Mutex // guards what follows
	wants  []status.Want
	latest *mesh.Mesh
}

// Pod is a pod of the mesh.
type Pod struct {
	*local.Pod
	Sidecar *sidecar.Sidecar
	Records *records.Records
	App     *App
	spec    sidecar.Spec
}

// Start runs manifests and waits until every pod is ready. Everything ends with the test.
func Start(t testing.TB, options Options, manifests ...string) *Mesh {
	t.Helper()
	m := &Mesh{
		T: t, options: options, tokens: map[mesh.Name]string{}, pods: map[mesh.Name]*Pod{},
		local: local.Options{LowestPort: 1024, Salt: t.Name() + strconv.Itoa(os.Getpid())},
		log:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	m.StartPlane(nil)
	t.Cleanup(func() { m.stop() })
	m.Apply(manifests...)
	return m
}

// StartPlane starts a control plane; with a predecessor's authority at the predecessor's address, with what it knew.
func (m *Mesh) StartPlane(predecessor *plane.Plane) {
	m.T.Helper()
	options := plane.Options{Lifetime: m.options.Lifetime, Status: m.keepStatus, Published: m.keepMesh, Unknown: m.options.Unknown, Log: m.log}
	address := "127.0.0.1:0"
	if predecessor != nil {
		options.CA, options.SessionKey, address = predecessor.CA(), predecessor.SessionKey(), m.address
	}
	p, err := plane.New(options)
	if err != nil {
		m.T.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		m.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, listener) }()
	m.Plane, m.address = p, listener.Addr().String()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			m.T.Error(err)
		}
	})
	if predecessor == nil {
		return
	}
	for name, token := range m.tokens {
		p.Adopt(token, m.caller(name))
	}
	m.send(local.Diff(nil, m.objects))
	p.Synced()
}

// StopPlane kills the control plane.
func (m *Mesh) StopPlane() { m.stop() }

func (m *Mesh) caller(name mesh.Name) enroll.Caller {
	return enroll.Caller{Namespace: name.Namespace, ServiceAccount: m.plan.Pod(name).ServiceAccount, Pod: name.Name}
}

func (m *Mesh) send(events []snapshot.Event) {
	m.T.Helper()
	if err := m.Plane.Send(m.T.Context(), events...); err != nil {
		m.T.Fatal(err)
	}
}

func (m *Mesh) keepStatus(wants []status.Want) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wants = wants
}

func (m *Mesh) keepMesh(latest *mesh.Mesh) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = latest
}

// Mesh is what was published last.
func (m *Mesh) Mesh() *mesh.Mesh {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest
}

// Status of a route of Namespace: its conditions as "Type=Status Reason", joined by commas.
func (m *Mesh) Status(route string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, want := range m.wants {
		if want.Name != (mesh.Name{Namespace: Namespace, Name: route}) {
			continue
		}
		for _, parent := range want.Parents {
			for _, c := range parent.Conditions {
				out = append(out, c.Type+"="+strconv.FormatBool(c.Status)+" "+c.Reason)
			}
		}
	}
	return strings.Join(out, ", ")
}

// Apply makes the manifests all that there is. New pods are started and waited for; pods are never ended.
func (m *Mesh) Apply(manifests ...string) {
	m.T.Helper()
	m.plan = local.New(m.read(manifests), m.local)
	for _, planned := range m.plan.Pods {
		if m.pods[planned.Name] == nil {
			m.startPod(planned)
		}
	}
	m.publish()
	m.Plane.Synced()
	for _, pod := range m.pods {
		m.Eventually("pod "+pod.String()+" is ready", func() bool {
			ready, _ := pod.Sidecar.Proxy().Ready()
			return ready
		})
	}
}

func (m *Mesh) read(manifests []string) []local.Object {
	m.T.Helper()
	var objects []local.Object
	for _, text := range manifests {
		read := manifest.Read("manifests", []byte(text))
		for _, problem := range read.Problems {
			m.T.Error(problem)
		}
		for _, item := range read.Items {
			objects = append(objects, item.Object)
		}
	}
	return objects
}

func (m *Mesh) publish() {
	m.T.Helper()
	var running []local.Running
	for _, pod := range m.pods {
		running = append(running, local.Running{Pod: pod.Pod, Phase: local.Ready})
	}
	objects := m.plan.Objects(running)
	events := local.Diff(m.objects, objects)
	m.objects = objects
	m.send(events)
}

func (m *Mesh) startPod(planned *local.Pod) {
	m.T.Helper()
	spec := sidecar.For(planned, m.local)
	spec.TrustDomain, spec.Manager, spec.Roots = "cluster.local", m.address, string(m.Plane.Roots())
	spec.Token = m.Plane.Token(m.caller(planned.Name))
	m.tokens[planned.Name] = spec.Token
	pod := &Pod{Pod: planned, Records: &records.Records{}, spec: spec}
	if planned.Runs() {
		pod.App = startApp(m.T, planned, spec, m.options.App)
	}
	var err error
	pod.Sidecar, err = sidecar.New(spec, sidecar.Options{
		Log: m.log, Sink: pod.Records, NoHealth: true, Lookup: m.options.Lookup, Backoff: func(int) time.Duration { return 20 * time.Millisecond },
	})
	if err != nil {
		m.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pod.Sidecar.Run(ctx) }()
	m.T.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			m.T.Errorf("sidecar of %s: %v", planned.Name, err)
		}
	})
	m.pods[planned.Name] = pod
}

// Pod is the first pod of a Deployment in Namespace, or in the one given as "namespace/deployment".
func (m *Mesh) Pod(owner string) *Pod {
	m.T.Helper()
	namespace, name, found := strings.Cut(owner, "/")
	if !found {
		namespace, name = Namespace, owner
	}
	for _, planned := range m.plan.Pods {
		if planned.Namespace == namespace && planned.Owner == name {
			return m.pods[planned.Name]
		}
	}
	m.T.Fatalf("no pod of Deployment %s", owner)
	return nil
}

// Eventually waits until check holds.
func (m *Mesh) Eventually(what string, check func() bool) {
	m.T.Helper()
	poll.Until(m.T, patience, what, check)
}

// Address is where the application of a pod dials a Service, "catalog:80", or "catalog.shop:80" in another namespace.
func (p *Pod) Address(t testing.TB, service string) string {
	t.Helper()
	for _, alias := range p.Aliases {
		name := alias.Service.Name.Name
		if alias.Service.Namespace != p.Namespace {
			name += "." + alias.Service.Namespace
		}
		if service == name+":"+strconv.Itoa(int(alias.Service.Port)) {
			return alias.Listen.String()
		}
	}
	t.Fatalf("%s has no way to Service %s", p.Name, service)
	return ""
}

// Way is where the application of a pod dials any other original destination.
func (p *Pod) Way(t testing.TB, original netip.AddrPort) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().(*net.TCPAddr).AddrPort()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	p.spec.Outbound = append(p.spec.Outbound, sidecar.Listen{At: at, Original: original})
	if err := p.Sidecar.Update(p.spec); err != nil {
		t.Fatal(err)
	}
	return at.String()
}
