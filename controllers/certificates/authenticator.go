package certificates

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/mesh"
)

//+kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create

// Limits of the authenticator's memory. A token that is shown again within tokenMemory is not reviewed again: sidecars
// retry, and a revoked token opens nothing by itself, because the pod must be alive when the request is signed.
const (
	tokenMemory  = 10 * time.Second
	tokenEntries = 4096
	// maxReviews bounds the questions to the API server at the same time: anybody in the cluster can make the manager ask.
	maxReviews = 32
)

// Extra fields of a token review that name the pod a token is bound to.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// Authenticator asks the API server whose a service-account token is.
type Authenticator struct {
	client client.Client
	now    func() time.Time
	slots  chan struct{}

	mu    sync.Mutex // guards known
	known map[[sha256.Size]byte]knownToken
}

type knownToken struct {
	caller enroll.Caller
	until  time.Time
}

// NewAuthenticator makes an Authenticator that reviews tokens through c.
func NewAuthenticator(c client.Client) *Authenticator {
	return &Authenticator{client: c, now: time.Now, slots: make(chan struct{}, maxReviews), known: map[[sha256.Size]byte]knownToken{}}
}

// Authenticate tells which pod a token belongs to. It refuses tokens of users, of other audiences and expired ones.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (enroll.Caller, error) {
	key := sha256.Sum256([]byte(token))
	if caller, ok := a.recall(key); ok {
		return caller, nil
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return enroll.Caller{}, fmt.Errorf("%d tokens are being reviewed: %w", maxReviews, ctx.Err())
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{mesh.TokenAud}}}
	if err := a.client.Create(ctx, review); err != nil {
		return enroll.Caller{}, fmt.Errorf("token review: %w", err)
	}
	caller, err := callerOf(review.Status)
	if err != nil {
		return enroll.Caller{}, err
	}
	a.remember(key, caller)
	return caller, nil
}

// callerOf reads the answer of a token review.
func callerOf(s authenticationv1.TokenReviewStatus) (enroll.Caller, error) {
	if !s.Authenticated {
		return enroll.Caller{}, fmt.Errorf("%w: the token is not valid for audience %s: %s", enroll.ErrRefused, mesh.TokenAud, s.Error)
	}
	if !slices.Contains(s.Audiences, mesh.TokenAud) {
		return enroll.Caller{}, fmt.Errorf("%w: the token is for another audience than %s", enroll.ErrRefused, mesh.TokenAud)
	}
	account, ok := strings.CutPrefix(s.User.Username, "system:serviceaccount:")
	namespace, name, ok2 := strings.Cut(account, ":")
	if !ok || !ok2 || namespace == "" || name == "" {
		return enroll.Caller{}, fmt.Errorf("%w: %q is not a service account", enroll.ErrRefused, s.User.Username)
	}
	return enroll.Caller{
		Namespace: namespace, ServiceAccount: name,
		Pod: first(s.User.Extra[extraPodName]), PodUID: first(s.User.Extra[extraPodUID]),
	}, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func (a *Authenticator) recall(key [sha256.Size]byte) (enroll.Caller, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.known[key]
	return k.caller, ok && a.now().Before(k.until)
}

func (a *Authenticator) remember(key [sha256.Size]byte, caller enroll.Caller) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if len(a.known) >= tokenEntries {
		for k, v := range a.known {
			if !now.Before(v.until) {
				delete(a.known, k)
			}
		}
	}
	if len(a.known) < tokenEntries {
		a.known[key] = knownToken{caller: caller, until: now.Add(tokenMemory)}
	}
}
