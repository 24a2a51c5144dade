package certificates

import (
	"context"
	"fmt"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/controllers/replica"
	"github.com/leno-mesh/leno/controllers/served"
	"github.com/leno-mesh/leno/internal/mesh"
)

//+kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
//+kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Options are what Setup cannot know.
type Options struct {
	// Propagation is how long a new root is spread before it signs.
	Propagation time.Duration
	// Trust is kept up to date on every replica.
	Trust *Trust
	// OnBundle gets each new trust bundle, as PEM, on every replica. It must not block.
	OnBundle func(pem []byte) error
}

// Parts are what the rest of the manager uses.
type Parts struct {
	Authenticator *Authenticator
	Signer        *Signer
}

// ByObject is how the manager's cache holds what this package reads: only the operator's namespace, and only the trust
// bundles of the others.
func ByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.Secret{}:    {Namespaces: map[string]cache.Config{mesh.SystemNamespace: {}}},
		&corev1.ConfigMap{}: {Field: fields.OneTermEqualSelector("metadata.name", mesh.TrustBundleName)},
	}
}

// Setup adds everything to the manager. What needs cert-manager starts when the cluster serves its kinds.
func Setup(mgr manager.Manager, o Options) (*Parts, error) {
	trust := o.Trust
	parts := &Parts{
		Authenticator: NewAuthenticator(mgr.GetClient()),
		Signer:        NewSigner(mgr.GetClient(), mgr.GetAPIReader(), trust, mgr.GetEventRecorder("leno-certificates")),
	}
	for _, add := range []func(manager.Manager) error{
		func(mgr manager.Manager) error { return addFollower(mgr, trust, o.OnBundle) },
		addSpreader,
	} {
		if err := add(mgr); err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
	}
	return parts, mgr.Add(replica.Every(func(ctx context.Context) error {
		if !served.Wait(ctx, mgr.GetRESTMapper(), served.Issuer, served.Certificate, served.CertificateRequest) {
			return nil // shutting down
		}
		if err := withCertManager(ctx, mgr, parts.Signer, o.Propagation); err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
		return nil
	}))
}

// withCertManager starts what needs cert-manager's kinds. They have a cache of their own, for the operator's namespace: the
// manager's cache cannot be set up for kinds that are not served yet.
func withCertManager(ctx context.Context, mgr manager.Manager, signer *Signer, propagation time.Duration) error {
	requests, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		DefaultNamespaces: map[string]cache.Config{mesh.SystemNamespace: {}}, DefaultTransform: cache.TransformStripManagedFields(),
	})
	if err != nil {
		return fmt.Errorf("cache of cert-manager's kinds: %w", err)
	}
	// A cache of chosen namespaces waits for leadership when added as it is; every replica signs.
	if err := mgr.Add(replica.Every(requests.Start)); err != nil {
		return err
	}
	if err := deliver(ctx, requests, signer); err != nil {
		return err
	}
	for _, add := range []func(manager.Manager, cache.Cache) error{
		addChainKeeper,
		func(mgr manager.Manager, from cache.Cache) error { return addRootKeeper(mgr, from, propagation) },
		addReviewer,
	} {
		if err := add(mgr, requests); err != nil {
			return err
		}
	}
	return nil
}

// deliver tells the signer of every change of a CertificateRequest.
func deliver(ctx context.Context, from cache.Cache, signer *Signer) error {
	informer, err := from.GetInformer(ctx, &cmapi.CertificateRequest{})
	if err != nil {
		return fmt.Errorf("watch CertificateRequests: %w", err)
	}
	tell := func(obj any) {
		if r, ok := obj.(*cmapi.CertificateRequest); ok {
			signer.Deliver(r)
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, now any) { tell(now) }})
	return err
}

// one is the request of reconcilers that always look at everything.
var one = reconcile.Request{NamespacedName: own("all")}

func always(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{one} }

func inOwnNamespace(names ...string) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		if o.GetNamespace() != mesh.SystemNamespace {
			return false
		}
		for _, n := range names {
			if o.GetName() == n {
				return true
			}
		}
		return len(names) == 0
	})
}

func addFollower(mgr manager.Manager, trust *Trust, onBundle func([]byte) error) error {
	return ctrl.NewControllerManagedBy(mgr).Named("chain-follower").
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(always)).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(always)).
		WithEventFilter(inOwnNamespace(ServingSecret, SigningSecret, mesh.TrustBundleName)).
		WithOptions(controller.Options{NeedLeaderElection: new(false)}).
		Complete(&follower{live: mgr.GetAPIReader(), trust: trust, onBundle: onBundle})
}

func addSpreader(mgr manager.Manager) error {
	r := &spreader{client: mgr.GetClient()}
	// A change of the bundle in leno-system concerns all namespaces, one of a copy only its own.
	namespaces := func(ctx context.Context, o client.Object) []reconcile.Request {
		if o.GetNamespace() != mesh.SystemNamespace {
			return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
		}
		var list corev1.NamespaceList
		if err := mgr.GetClient().List(ctx, &list); err != nil {
			return nil
		}
		var all []reconcile.Request
		for _, ns := range list.Items {
			all = append(all, reconcile.Request{NamespacedName: client.ObjectKey{Name: ns.Name}})
		}
		return all
	}
	namespace := func(_ context.Context, o client.Object) []reconcile.Request {
		if !needsBundle(o) {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
	}
	return ctrl.NewControllerManagedBy(mgr).Named("trust-spreader").
		For(&corev1.Namespace{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(namespace)).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(namespaces)).
		Complete(r)
}

func addChainKeeper(mgr manager.Manager, from cache.Cache) error {
	return ctrl.NewControllerManagedBy(mgr).Named("chain-keeper").
		Watches(&v1alpha1.Mesh{}, handler.EnqueueRequestsFromMapFunc(always)).
		WatchesRawSource(news(from, &cmapi.Issuer{}, always)).
		WatchesRawSource(news(from, &cmapi.Certificate{}, always)).
		Complete(&chainKeeper{reader: from, client: mgr.GetClient()})
}

func addRootKeeper(mgr manager.Manager, from cache.Cache, propagation time.Duration) error {
	// The CA of an issuer that the Mesh names is told with each certificate; the operator's own is known.
	external := func(ctx context.Context, o client.Object) []reconcile.Request {
		r, ok := o.(*cmapi.CertificateRequest)
		if !ok || r.Labels[LabelWorkload] == "" || len(r.Status.CA) == 0 || usesOwnIssuer(r.Spec.IssuerRef) {
			return nil
		}
		return always(ctx, o)
	}
	return ctrl.NewControllerManagedBy(mgr).Named("root-keeper").
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(always)).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(always)).
		WatchesRawSource(news(from, &cmapi.CertificateRequest{}, external)).
		WithEventFilter(inOwnNamespace(CACertificate, SigningSecret, mesh.TrustBundleName)).
		Complete(&rootKeeper{
			reader: from, client: mgr.GetClient(), live: mgr.GetAPIReader(), events: mgr.GetEventRecorder("leno-certificates"),
			now: time.Now, propagation: propagation,
		})
}

func addReviewer(mgr manager.Manager, from cache.Cache) error {
	itself := func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
	}
	return ctrl.NewControllerManagedBy(mgr).Named("certificate-reviewer").
		WatchesRawSource(news(from, &cmapi.CertificateRequest{}, itself)).
		Complete(&reviewer{reader: from, client: mgr.GetClient(), events: mgr.GetEventRecorder("leno-certificates"), now: time.Now})
}

// news is every change of a kind in a cache, as requests.
func news(from cache.Cache, kind client.Object, requests handler.MapFunc) source.Source {
	return source.Kind(from, kind, handler.EnqueueRequestsFromMapFunc(requests))
}
