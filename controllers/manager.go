// Package controllers is the only code that talks to the Kubernetes API: it feeds the cluster's news to the pure core and
// carries out what the core decides. This file is its table of contents.
package controllers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/leno-mesh/leno/controllers/certificates"
	"github.com/leno-mesh/leno/controllers/egress"
	"github.com/leno-mesh/leno/controllers/feed"
	"github.com/leno-mesh/leno/controllers/gatewayapi"
	"github.com/leno-mesh/leno/controllers/gateways"
	meshcontroller "github.com/leno-mesh/leno/controllers/mesh"
	"github.com/leno-mesh/leno/controllers/replica"
	"github.com/leno-mesh/leno/controllers/sessions"
	"github.com/leno-mesh/leno/controllers/status"
	"github.com/leno-mesh/leno/controllers/webhook"
	"github.com/leno-mesh/leno/internal/graph"
	"github.com/leno-mesh/leno/internal/mesh"
	"github.com/leno-mesh/leno/internal/pipeline"
	"github.com/leno-mesh/leno/internal/snapshot"
	"github.com/leno-mesh/leno/internal/xds/server"
)

//+kubebuilder:rbac:groups=coordination.k8s.io,namespace=leno-system,resources=leases,verbs=get;create;update;patch

// Config is what the manager is started with.
type Config struct {
	ProxyAddress    string        // discovery and enrolment, ":15010"
	WebhookPort     int           // 9443; negative: no webhook
	HealthAddress   string        // /livez and /readyz, ":8081"
	MetricsAddress  string        // TLS and RBAC, ":8443"; "0": off
	LeaderElection  bool          // false only for a single process in tests
	RootPropagation time.Duration // how long a new root is spread before it signs
	// Several is set where a process holds several managers, as tests do: they share names and metrics.
	Several bool
	// Bound gets the address that proxies are served on; optional, for tests that listen on port 0.
	Bound func(net.Addr)
}

// Manager is the operator and control plane: every replica watches the cluster, serves proxies and admits pods; one of
// them, the leader, writes.
type Manager struct {
	ctrl.Manager
	published atomic.Bool // the first mesh is out
}

// New puts the manager together. Run it with Start.
func New(rc *rest.Config, c Config) (*Manager, error) {
	trust := &certificates.Trust{}
	mgr, err := newManager(rc, c, trust)
	if err != nil {
		return nil, err
	}
	m := &Manager{Manager: mgr}

	// Outputs: proxies, the cluster's status, what gateways run on, certificates.
	trail := egress.New(mgr.GetAPIReader(), mgr.GetEventRecorder("leno-egress"))
	ads := server.New(server.Options{Unknown: trail.Note})
	writer, err := status.Setup(mgr)
	if err != nil {
		return nil, fmt.Errorf("status writer: %w", err)
	}
	keeper, err := gateways.Setup(mgr)
	if err != nil {
		return nil, fmt.Errorf("gateways: %w", err)
	}
	parts, err := certificates.Setup(mgr, certificates.Options{
		Trust: trust, Propagation: c.RootPropagation, OnBundle: ads.PublishBundle,
	})
	if err != nil {
		return nil, err
	}
	enrol := &enrolment{authenticator: parts.Authenticator, signer: parts.Signer}

	material, err := feed.Material(rc, mgr.GetRESTMapper(), mgr.GetScheme())
	if err != nil {
		return nil, fmt.Errorf("cache for certificates: %w", err)
	}

	key, err := sessionKey(rc, mgr.GetScheme())
	if err != nil {
		return nil, err
	}

	// The core: news in, meshes and wanted status out.
	pipe := pipeline.New(pipeline.Options{
		Graph: graph.Options{SessionKey: key},
		Publish: func(now *mesh.Mesh) {
			enrol.use(now.Settings.TrustDomain)
			ads.Publish(now)
			keeper.Set(now.Gateways)
			m.published.Store(true)
		},
		Status:  writer.Set,
		Observe: observe,
	})

	// Shells around it, in the order in which a cluster meets them.
	for _, add := range []func() error{
		func() error { return registerWebhook(rc, mgr, c) },
		func() error { return meshcontroller.Setup(mgr) },
		func() error { return mgr.Add(replica.Every(trail.Run)) },
		func() error { return mgr.Add(replica.Every(pipe.Run)) },
		func() error { return mgr.Add(feed.New(mgr.GetCache(), material, mgr.GetRESTMapper(), pipe)) },
		func() error {
			return mgr.Add(&grpcServer{address: c.ProxyAddress, trust: trust, ads: ads, enrol: enrol, bound: c.Bound})
		},
		func() error { return m.addChecks(trust) },
		func() error { return register(ads, c.Several) },
	} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// startTimeout bounds what is asked of the API server before anything runs.
const startTimeout = 30 * time.Second

// sessionKey is the key that all replicas share.
func sessionKey(rc *rest.Config, scheme *runtime.Scheme) (mesh.SessionKey, error) {
	c, err := client.New(rc, client.Options{Scheme: scheme})
	if err != nil {
		return mesh.SessionKey{}, fmt.Errorf("client for the key of session persistence: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return sessions.Key(ctx, c)
}

// registerWebhook puts injection on the webhook server, unless there is none.
func registerWebhook(rc *rest.Config, mgr ctrl.Manager, c Config) error {
	if c.WebhookPort < 0 {
		return nil
	}
	classic, err := classicCluster(rc)
	if err != nil {
		return err
	}
	webhook.Register(mgr.GetWebhookServer(), mgr.GetClient(), classic)
	return nil
}

// addChecks says when a replica is alive, and when it can serve.
func (m *Manager) addChecks(trust *certificates.Trust) error {
	alive := func(*http.Request) error { return nil }
	certificate := func(*http.Request) error { _, err := trust.Serving(); return err }
	return errors.Join(m.AddHealthzCheck("alive", alive), m.AddReadyzCheck("cluster", m.readCluster), m.AddReadyzCheck("certificate", certificate))
}

// readCluster is ready when the first complete picture of the cluster was published.
func (m *Manager) readCluster(*http.Request) error {
	if !m.published.Load() {
		return errors.New("the cluster has not been read completely yet")
	}
	return nil
}

func newManager(rc *rest.Config, c Config, trust *certificates.Trust) (ctrl.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	byObject := feed.ByObject()
	maps.Copy(byObject, certificates.ByObject())
	maps.Copy(byObject, gateways.ByObject())
	o := ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cache.Options{ByObject: byObject, DefaultTransform: gatewayapi.Transform(scheme)},
		LeaderElection:                c.LeaderElection,
		LeaderElectionID:              "leno-manager",
		LeaderElectionNamespace:       mesh.SystemNamespace,
		LeaderElectionReleaseOnCancel: true, // the process ends when Start returns
		HealthProbeBindAddress:        c.HealthAddress,
		LivenessEndpointName:          "/livez",
		Metrics:                       metricsOptions(c.MetricsAddress, trust.Serving),
		Controller:                    config.Controller{SkipNameValidation: &c.Several},
	}
	if c.WebhookPort >= 0 {
		o.WebhookServer = ctrlwebhook.NewServer(ctrlwebhook.Options{Port: c.WebhookPort, TLSOpts: []func(*tls.Config){servingTLS(trust.Serving)}})
	}
	mgr, err := ctrl.NewManager(rc, o)
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	return mgr, nil
}

// Scheme knows every kind that the manager reads or writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, snapshot.AddToScheme, cmapi.AddToScheme, xv1alpha1.Install,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	return scheme, nil
}

// classicCluster tells whether the cluster is too old for native sidecars (Kubernetes before 1.29).
func classicCluster(rc *rest.Config) (bool, error) {
	d, err := discovery.NewDiscoveryClientForConfig(rc)
	if err != nil {
		return false, fmt.Errorf("version of the cluster: %w", err)
	}
	version, err := d.ServerVersion()
	if err != nil {
		return false, fmt.Errorf("version of the cluster: %w", err)
	}
	// A version that is not spelt like that is not an old one.
	minor, unreadable := strconv.Atoi(strings.TrimRight(version.Minor, "+"))
	return unreadable == nil && version.Major == "1" && minor < 29, nil
}
