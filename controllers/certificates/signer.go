package certificates

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/mesh"
)

//+kubebuilder:rbac:groups=cert-manager.io,namespace=leno-system,resources=certificaterequests,verbs=get;list;watch;create;delete
//+kubebuilder:rbac:groups=cert-manager.io,namespace=leno-system,resources=certificaterequests/status,verbs=update;patch
//+kubebuilder:rbac:groups=cert-manager.io,resources=signers,resourceNames=issuers.cert-manager.io/*;clusterissuers.cert-manager.io/*,verbs=approve

// Limits of signing.
const (
	// maxInFlight bounds the requests that wait for cert-manager at the same time; callers beyond it wait their turn.
	maxInFlight = 64
	// signWithin bounds one request. The sidecar gives up after 30 s and asks again.
	signWithin = 25 * time.Second
	// expiryMargin keeps a leaf from ending in the same moment as its issuer.
	expiryMargin = time.Minute
	// askAgain is how often a request is looked at without having been told that it changed.
	askAgain = 2 * time.Second
)

// Signer has the certificate requests of workloads signed by cert-manager. Whoever creates a CertificateRequest can
// write anything into it, so approval does not depend on what stands in one: the replica that authenticated the caller
// creates the request, checks it against the live pod and approves that very object, by its UID. A request that any
// other way came into being is denied (see Judge).
type Signer struct {
	client client.Client
	// live reads past the cache, for pods that the cache has not seen yet.
	live   client.Reader
	trust  *Trust
	events events.EventRecorder
	slots  chan struct{}

	mu      sync.Mutex // guards waiting
	waiting map[string]chan *cmapi.CertificateRequest
}

// NewSigner makes a Signer. Deliver must be told of every change of a CertificateRequest.
func NewSigner(c client.Client, live client.Reader, trust *Trust, recorder events.EventRecorder) *Signer {
	return &Signer{client: c, live: live, trust: trust, events: recorder,
		slots: make(chan struct{}, maxInFlight), waiting: map[string]chan *cmapi.CertificateRequest{}}
}

// Sign implements enroll.Signer.
func (s *Signer) Sign(ctx context.Context, who enroll.Caller, csrDER []byte) (chainPEM, rootsPEM []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, signWithin)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%d requests are being signed: %w", maxInFlight, ctx.Err())
	}
	settings, err := SettingsOf(ctx, s.client)
	if err != nil {
		return nil, nil, err
	}
	pod, err := s.pod(ctx, who)
	if err != nil {
		return nil, nil, err
	}
	if err := Evaluate(settings.TrustDomain, who, pod, csrDER); err != nil {
		s.Refused(who, err)
		return nil, nil, err
	}
	done, err := s.request(ctx, settings, who, csrDER)
	if err != nil {
		return nil, nil, err
	}
	return s.answer(settings, who, done)
}

// Refused puts a refusal where the owner of the pod sees it.
func (s *Signer) Refused(who enroll.Caller, err error) {
	if who.Pod == "" {
		return
	}
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: who.Namespace, Name: who.Pod, UID: types.UID(who.PodUID)},
	}
	s.events.Eventf(pod, nil, corev1.EventTypeWarning, "CertificateDenied", "Sign", "%v", err)
}

// pod is the pod that a token is bound to, nil when there is none.
func (s *Signer) pod(ctx context.Context, who enroll.Caller) (*corev1.Pod, error) {
	key := client.ObjectKey{Namespace: who.Namespace, Name: who.Pod}
	if who.Pod == "" {
		return nil, nil
	}
	for _, from := range []client.Reader{s.client, s.live} {
		var pod corev1.Pod
		switch err := from.Get(ctx, key, &pod); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("read pod %s: %w", key, err)
		case string(pod.UID) == who.PodUID:
			return &pod, nil
		}
	}
	return nil, nil
}

// request makes a CertificateRequest, approves it and waits until cert-manager is done with it.
func (s *Signer) request(ctx context.Context, settings Settings, who enroll.Caller, csrDER []byte) (*cmapi.CertificateRequest, error) {
	r := certificateRequest(settings, who, csrDER, s.trust.lifetime(settings, time.Now()))
	news := s.wait(r.Name)
	defer s.forget(r.Name)
	if err := s.client.Create(ctx, r); err != nil {
		return nil, fmt.Errorf("create CertificateRequest %s (is cert-manager installed?): %w", r.Name, err)
	}
	if err := s.approve(ctx, r); err != nil {
		return nil, err
	}
	done, err := s.outcome(ctx, r, news)
	if err != nil {
		return nil, fmt.Errorf("CertificateRequest %s: %w (look at it and at issuer %s with kubectl describe)", r.Name, err, settings.Issuer.Name)
	}
	return done, nil
}

// outcome waits until cert-manager is done with a request.
func (s *Signer) outcome(ctx context.Context, r *cmapi.CertificateRequest, news <-chan *cmapi.CertificateRequest) (*cmapi.CertificateRequest, error) {
	again := time.NewTicker(askAgain)
	defer again.Stop()
	now := r
	for {
		done, message := finished(now)
		switch {
		case done && message != "":
			return nil, errors.New(message)
		case done:
			return now, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w, cert-manager says %q", ctx.Err(), message)
		case now = <-news:
		case <-again.C:
			now = &cmapi.CertificateRequest{}
			if err := s.live.Get(ctx, client.ObjectKeyFromObject(r), now); err != nil {
				return nil, err
			}
		}
	}
}

// approve writes the approval into the request that was just created; cert-manager may have touched it in between.
func (s *Signer) approve(ctx context.Context, r *cmapi.CertificateRequest) error {
	uid := r.UID
	for {
		if r.UID != uid {
			return fmt.Errorf("CertificateRequest %s was replaced by somebody", r.Name)
		}
		if decided(r) {
			return nil
		}
		decide(r, true, "the pod was authenticated and the request asks for its identity", metav1.Now())
		err := s.client.Status().Update(ctx, r)
		if !apierrors.IsConflict(err) {
			if err != nil {
				return fmt.Errorf("approve CertificateRequest %s: %w", r.Name, err)
			}
			return nil
		}
		if err := s.live.Get(ctx, client.ObjectKeyFromObject(r), r); err != nil {
			return fmt.Errorf("approve CertificateRequest %s: %w", r.Name, err)
		}
	}
}

// answer checks what came back before the sidecar gets it: an issuer that a Mesh names may be set up wrongly.
func (s *Signer) answer(settings Settings, who enroll.Caller, r *cmapi.CertificateRequest) (chainPEM, rootsPEM []byte, err error) {
	chain, err := identity.ParseCertificates(r.Status.Certificate)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate from issuer %s: %w", settings.Issuer.Name, err)
	}
	id, err := identity.LeafID(chain[0])
	if err != nil {
		return nil, nil, fmt.Errorf("certificate from issuer %s: %w: let the issuer keep the URI name of the request", settings.Issuer.Name, err)
	}
	if id.Namespace != who.Namespace || id.ServiceAccount != who.ServiceAccount || id.TrustDomain != settings.TrustDomain {
		return nil, nil, fmt.Errorf("issuer %s signed for %s instead of service account %s/%s", settings.Issuer.Name, id, who.Namespace, who.ServiceAccount)
	}
	roots := s.trust.Roots()
	if len(r.Status.CA) > 0 {
		own, err := identity.ParseBundle(r.Status.CA)
		if err != nil {
			return nil, nil, fmt.Errorf("CA of issuer %s: %w", settings.Issuer.Name, err)
		}
		roots = NextBundle(time.Now(), roots, own)
	}
	return r.Status.Certificate, roots.PEM(), nil
}

func certificateRequest(settings Settings, who enroll.Caller, csrDER []byte, lifetime time.Duration) *cmapi.CertificateRequest {
	return &cmapi.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: mesh.SystemNamespace,
			Name:      "workload-" + strings.ToLower(rand.Text()[:20]),
			Labels:    map[string]string{LabelWorkload: "true", "app.kubernetes.io/managed-by": "leno"},
			Annotations: map[string]string{
				"mesh.leno.dev/pod":             who.Namespace + "/" + who.Pod,
				"mesh.leno.dev/pod-uid":         who.PodUID,
				"mesh.leno.dev/service-account": who.Namespace + "/" + who.ServiceAccount,
			},
		},
		Spec: cmapi.CertificateRequestSpec{
			Request:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csrDER}),
			IssuerRef: settings.Issuer,
			Duration:  &metav1.Duration{Duration: lifetime},
			Usages:    []cmapi.KeyUsage{cmapi.UsageDigitalSignature, cmapi.UsageServerAuth, cmapi.UsageClientAuth},
		},
	}
}

// Deliver hands a changed request to whoever waits for it. It does not block.
func (s *Signer) Deliver(r *cmapi.CertificateRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news, ok := s.waiting[r.Name]
	if !ok {
		return
	}
	select { // the latest state is the one that counts
	case <-news:
	default:
	}
	news <- r
}

func (s *Signer) wait(name string) <-chan *cmapi.CertificateRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := make(chan *cmapi.CertificateRequest, 1)
	s.waiting[name] = news
	return news
}

func (s *Signer) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, name)
}
