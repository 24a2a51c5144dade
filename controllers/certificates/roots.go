package certificates

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"strings"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
)

// annotationNext on the trust bundle in leno-system remembers which next CA is in the bundle since when:
// "<SHA-256 of the certificate>@<time>".
const annotationNext = "mesh.leno.dev/next-ca"

// rootKeeper makes the trust bundle and puts new CAs into use. It runs on the leader.
type rootKeeper struct {
	reader      client.Reader // cert-manager's kinds
	client      client.Client
	live        client.Reader
	events      events.EventRecorder
	now         func() time.Time
	propagation time.Duration
}

// chainState is what the reconciler gathered.
type chainState struct {
	next          *x509.Certificate // nil: cert-manager has not issued it yet
	nextSecret    corev1.Secret
	current       *x509.Certificate // nil: no CA is in use yet
	currentSecret corev1.Secret
	bundle        corev1.ConfigMap // without a resource version when there is none yet
	external      *identity.Bundle // CAs of an issuer that the Mesh names, as it told them
}

// Reconcile first spreads a new root, and only later lets it sign.
func (k *rootKeeper) Reconcile(ctx context.Context, _ reconcile.Request) (ctrl.Result, error) {
	s, err := k.gather(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if s.next == nil {
		return ctrl.Result{}, nil // the Secret's change brings us back
	}
	now := k.now()
	since, err := k.publish(ctx, now, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	promote, wait := Promote(now, Staging{Next: s.next, Current: s.current, Since: since, Propagation: k.propagation})
	if !promote {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return ctrl.Result{}, k.promote(ctx, s)
}

func (k *rootKeeper) gather(ctx context.Context) (s chainState, err error) {
	if s.nextSecret, s.next, err = k.ca(ctx, CACertificate); err != nil {
		return s, err
	}
	if s.currentSecret, s.current, err = k.ca(ctx, SigningSecret); err != nil {
		return s, err
	}
	if err := k.live.Get(ctx, own(mesh.TrustBundleName), &s.bundle); client.IgnoreNotFound(err) != nil {
		return s, fmt.Errorf("read the trust bundle: %w", err)
	}
	settings, err := SettingsOf(ctx, k.client)
	if err != nil || settings.Own {
		return s, err
	}
	s.external, err = k.externalRoots(ctx, settings)
	return s, err
}

// ca reads the Secret of a CA; no certificate when it is not there yet.
func (k *rootKeeper) ca(ctx context.Context, name string) (corev1.Secret, *x509.Certificate, error) {
	var secret corev1.Secret
	if err := k.live.Get(ctx, own(name), &secret); err != nil {
		return secret, nil, client.IgnoreNotFound(err)
	}
	if len(secret.Data[corev1.TLSCertKey]) == 0 {
		return secret, nil, nil
	}
	cert, err := firstCertificate(secret.Data[corev1.TLSCertKey])
	if err != nil {
		return secret, nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	return secret, cert, nil
}

// externalRoots are the CAs that an external issuer told with the certificates it issued.
func (k *rootKeeper) externalRoots(ctx context.Context, settings Settings) (*identity.Bundle, error) {
	var list cmapi.CertificateRequestList
	if err := k.reader.List(ctx, &list, client.InNamespace(mesh.SystemNamespace), client.HasLabels{LabelWorkload}); err != nil {
		return nil, fmt.Errorf("list CertificateRequests: %w", err)
	}
	bundle := identity.NewBundle()
	for _, r := range list.Items {
		if r.Spec.IssuerRef != settings.Issuer || len(r.Status.CA) == 0 {
			continue
		}
		told, err := identity.ParseBundle(r.Status.CA)
		if err != nil {
			return nil, fmt.Errorf("CA in CertificateRequest %s: %w", r.Name, err)
		}
		bundle = identity.Union(bundle, told)
	}
	return bundle, nil
}

// publish writes the trust bundle in leno-system, from where it spreads, and tells since when the next CA is in it.
func (k *rootKeeper) publish(ctx context.Context, now time.Time, s chainState) (since time.Time, err error) {
	var before *identity.Bundle
	if text := s.bundle.Data[mesh.TrustKey]; text != "" {
		// A bundle that somebody broke is made anew.
		before, _ = identity.ParseBundle([]byte(text))
	}
	additions := []*identity.Bundle{identity.NewBundle(s.next), s.external}
	if s.current != nil {
		additions = append(additions, identity.NewBundle(s.current))
	}
	text := string(NextBundle(now, before, additions...).PEM())
	since, known := stagedSince(s.bundle.Annotations[annotationNext], s.next)
	if !known {
		since = now
	}
	cm := s.bundle.DeepCopy()
	cm.Namespace, cm.Name = mesh.SystemNamespace, mesh.TrustBundleName
	if known && cm.Data[mesh.TrustKey] == text {
		return since, nil
	}
	cm.Labels = withLabel(cm.Labels)
	cm.Annotations = maps.Clone(cm.Annotations)
	if cm.Annotations == nil {
		cm.Annotations = map[string]string{}
	}
	cm.Annotations[annotationNext] = fingerprint(s.next) + "@" + since.UTC().Format(time.RFC3339)
	cm.Data = map[string]string{mesh.TrustKey: text}
	if cm.ResourceVersion == "" {
		err = k.client.Create(ctx, cm)
	} else {
		err = k.client.Update(ctx, cm)
	}
	if err != nil {
		return since, fmt.Errorf("write the trust bundle: %w", err)
	}
	return since, nil
}

// stagedSince reads annotationNext; not known when it is about another certificate.
func stagedSince(value string, next *x509.Certificate) (time.Time, bool) {
	print, at, _ := strings.Cut(value, "@")
	since, err := time.Parse(time.RFC3339, at)
	return since, err == nil && print == fingerprint(next)
}

// promote copies the next CA to where the mesh's issuer finds it.
func (k *rootKeeper) promote(ctx context.Context, s chainState) error {
	secret := s.currentSecret.DeepCopy()
	secret.Namespace, secret.Name = mesh.SystemNamespace, SigningSecret
	secret.Labels = withLabel(secret.Labels)
	secret.Type = corev1.SecretTypeTLS
	secret.Data = maps.Clone(s.nextSecret.Data)
	var err error
	if secret.ResourceVersion == "" {
		err = k.client.Create(ctx, secret)
	} else {
		err = k.client.Update(ctx, secret)
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("put the next CA into use: %w", err)
	}
	k.events.Eventf(&cmapi.Certificate{ObjectMeta: named(CACertificate)}, nil, corev1.EventTypeNormal, "InUse", "Promote",
		"the CA valid until %s signs from now on", s.next.NotAfter.UTC().Format(time.RFC3339))
	return err
}

func withLabel(labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["app.kubernetes.io/managed-by"] = "leno"
	return labels
}

func firstCertificate(text []byte) (*x509.Certificate, error) {
	all, err := identity.ParseCertificates(text)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}
