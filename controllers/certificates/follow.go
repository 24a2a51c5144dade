package certificates

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
)

//+kubebuilder:rbac:groups="",namespace=leno-system,resources=secrets,verbs=get;list;watch;create;update

// reload is how often a replica reads the chain again without having been told to: a watch event that went missing
// must not keep an old certificate in use.
const reload = 30 * time.Second

// follower keeps Trust up to date on every replica.
type follower struct {
	live     client.Reader
	trust    *Trust
	onBundle func(pem []byte) error
}

// Reconcile reads all of the chain that a replica needs. What is missing or broken leaves its predecessor in place.
func (f *follower) Reconcile(ctx context.Context, _ reconcile.Request) (ctrl.Result, error) {
	for _, step := range []func(context.Context) error{f.readServing, f.readSigning, f.readRoots} {
		if err := step(ctx); err != nil && !apierrors.IsNotFound(err) {
			slog.ErrorContext(ctx, "part of the chain of trust cannot be read, the last good one stays in use", "error", err)
		}
	}
	return ctrl.Result{RequeueAfter: reload}, nil
}

func (f *follower) readServing(ctx context.Context) error {
	var secret corev1.Secret
	if err := f.live.Get(ctx, own(ServingSecret), &secret); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return fmt.Errorf("read Secret %s: %w", ServingSecret, err)
	}
	if old := f.trust.serving.Load(); old != nil && bytes.Equal(old.Certificate[0], pair.Certificate[0]) {
		return nil
	}
	f.trust.serving.Store(&pair)
	slog.InfoContext(ctx, "serving certificate loaded", "notAfter", pair.Leaf.NotAfter)
	return nil
}

func (f *follower) readSigning(ctx context.Context) error {
	var secret corev1.Secret
	if err := f.live.Get(ctx, own(SigningSecret), &secret); err != nil {
		return err
	}
	ca, err := firstCertificate(secret.Data[corev1.TLSCertKey])
	if err != nil {
		return fmt.Errorf("read Secret %s: %w", SigningSecret, err)
	}
	f.trust.signing.Store(ca)
	return nil
}

func (f *follower) readRoots(ctx context.Context) error {
	var cm corev1.ConfigMap
	if err := f.live.Get(ctx, own(mesh.TrustBundleName), &cm); err != nil {
		return err
	}
	bundle, err := identity.ParseBundle([]byte(cm.Data[mesh.TrustKey]))
	if err != nil {
		return fmt.Errorf("ConfigMap %s: %w", mesh.TrustBundleName, err)
	}
	if bundle.Equal(f.trust.Roots()) {
		return nil
	}
	f.trust.roots.Store(bundle)
	slog.InfoContext(ctx, "trust bundle loaded", "roots", len(bundle.Roots()))
	return f.onBundle(bundle.PEM())
}

func own(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: mesh.SystemNamespace, Name: name}
}
