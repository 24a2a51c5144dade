package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/leno-mesh/leno/internal/enroll/enrollpb"
	"github.com/leno-mesh/leno/internal/identity"
)

// Times of the client.
const (
	attemptTimeout = 30 * time.Second       // one request, signing by an external issuer included
	firstRetry     = 250 * time.Millisecond // doubled for each failure
	maxRetryBefore = 5 * time.Second        // without a certificate: the pod is waiting to start
	maxRetryAfter  = time.Minute            // with one that is still valid
	maxSleep       = time.Hour              // longest wait by the monotonic clock before the wall clock is read again
)

// ClientOptions are what a [Client] needs; all fields without "optional" must be set.
type ClientOptions struct {
	ID identity.ID
	// Connect makes a TLS connection to the manager. It is called for each attempt, and the connection is closed after it.
	Connect func(ctx context.Context) (*grpc.ClientConn, error)
	// Token reads the service-account token. It is called for each attempt, because the token rotates.
	Token func() (string, error)
	// Random gives numbers in [0,1), for jitter.
	Random func() float64
	Log    *slog.Logger
	// OnChange is told of each new certificate or bundle; optional. It must not block.
	OnChange func(*identity.SVID)
}

// Client is an [identity.Source] that enrols and renews. A certificate that cannot be renewed is kept.
type Client struct {
	options ClientOptions
	ready   chan struct{} // closed with the first certificate
	renew   chan struct{} // asks Run to renew now; capacity 1

	mu    sync.Mutex // guards what follows
	svid  *identity.SVID
	state State
}

// State is what the admin endpoint shows.
type State struct {
	NotBefore time.Time
	NotAfter  time.Time
	// Next is when the next attempt is due.
	Next time.Time
	// Failures counts attempts since the last success; LastError is why the last one failed.
	Failures  int
	LastError string
}

// NewClient makes a client; [Client.Run] does the work.
func NewClient(options ClientOptions) *Client {
	return &Client{options: options, ready: make(chan struct{}), renew: make(chan struct{}, 1)}
}

// Identity returns the current SVID, or [identity.ErrNoIdentity] before the first one came.
func (c *Client) Identity() (*identity.SVID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.svid != nil {
		return c.svid, nil
	}
	if c.state.LastError != "" {
		return nil, fmt.Errorf("%w: %s", identity.ErrNoIdentity, c.state.LastError)
	}
	return nil, identity.ErrNoIdentity
}

// Ready is closed when the first certificate is there.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// State reports on the certificate and on attempts to renew it.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// SetRoots replaces the trust bundle, as news from the control plane. When our own certificate does not come from one of
// these roots any more, it is renewed at once.
func (c *Client) SetRoots(roots *identity.Bundle) {
	c.mu.Lock()
	if c.svid == nil || c.svid.Roots.Equal(roots) {
		c.mu.Unlock()
		return
	}
	c.svid = c.svid.WithRoots(roots)
	svid := c.svid
	c.mu.Unlock()
	if !issuedUnder(svid, roots) {
		select {
		case c.renew <- struct{}{}:
		default: // one is asked for already
		}
	}
	c.changed(svid)
}

// Run enrols and renews until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	failures := 0
	for {
		err := c.attempt(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var next time.Time
		if err != nil {
			failures++
			next = time.Now().Add(c.retryDelay(failures))
			c.options.Log.Warn("workload certificate: request failed", "id", c.options.ID.String(), "error", err.Error(), "failures", failures, "retry", next)
		} else {
			failures = 0
			svid, _ := c.Identity()
			next = identity.Renewal(svid.NotBefore, svid.NotAfter, c.options.Random())
			c.options.Log.Info("workload certificate: issued", "id", svid.ID.String(), "notAfter", svid.NotAfter, "renewal", next)
		}
		c.note(next, failures, err)
		if !c.sleep(ctx, next) {
			return ctx.Err()
		}
	}
}

func (c *Client) attempt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	key, err := identity.NewKey()
	if err != nil {
		return err
	}
	csr, err := identity.NewCSR(key, c.options.ID)
	if err != nil {
		return err
	}
	token, err := c.options.Token()
	if err != nil {
		return fmt.Errorf("service-account token: %w", err)
	}
	conn, err := c.options.Connect(ctx)
	if err != nil {
		return fmt.Errorf("manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := enrollpb.NewEnrollmentServiceClient(conn).Sign(ctx, &enrollpb.SignRequest{CsrDer: csr}, grpc.PerRPCCredentials(bearer(token)))
	if err != nil {
		return err
	}
	roots, err := identity.ParseBundle(answer.GetRootsPem())
	if err != nil {
		return err
	}
	svid, err := identity.NewSVID(answer.GetChainPem(), key, roots)
	if err != nil {
		return err
	}
	if svid.ID != c.options.ID {
		return fmt.Errorf("manager signed for %s, asked for %s", svid.ID, c.options.ID)
	}
	if !issuedUnder(svid, roots) {
		return fmt.Errorf("certificate of %s does not verify against the bundle that came with it", svid.ID)
	}
	c.install(svid)
	return nil
}

func (c *Client) install(svid *identity.SVID) {
	c.mu.Lock()
	first := c.svid == nil
	c.svid = svid
	c.state.NotBefore, c.state.NotAfter = svid.NotBefore, svid.NotAfter
	c.mu.Unlock()
	if first {
		close(c.ready)
	}
	c.changed(svid)
}

func (c *Client) changed(svid *identity.SVID) {
	if c.options.OnChange != nil {
		c.options.OnChange(svid)
	}
}

func (c *Client) note(next time.Time, failures int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Next, c.state.Failures, c.state.LastError = next, failures, ""
	if err != nil {
		c.state.LastError = err.Error()
	}
}

// retryDelay doubles from firstRetry up to a limit; the upper half of it is random, so that a thousand sidecars do not
// come back together.
func (c *Client) retryDelay(failures int) time.Duration {
	limit := maxRetryBefore
	if svid, err := c.Identity(); err == nil && time.Now().Before(svid.NotAfter) {
		limit = maxRetryAfter
	}
	delay := firstRetry << min(failures-1, 12)
	delay = min(delay, limit)
	return delay/2 + time.Duration(c.options.Random()*float64(delay)/2)
}

// sleep waits until next or until a renewal is asked for; false when ctx ended. It wakes up in between, because timers
// stand still while a machine is suspended and certificates do not.
func (c *Client) sleep(ctx context.Context, next time.Time) bool {
	next = next.Round(0) // wall clock only
	for {
		wait := time.Until(next)
		if wait <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(wait, maxSleep))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-c.renew:
			timer.Stop()
			return true
		case <-timer.C:
		}
	}
}

func issuedUnder(svid *identity.SVID, roots *identity.Bundle) bool {
	intermediates := x509.NewCertPool()
	for _, c := range svid.Chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := svid.Chain[0].Verify(x509.VerifyOptions{
		Roots: roots.Pool(), Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		// The question is who issued it, not whether it is valid now.
		CurrentTime: svid.NotAfter,
	})
	var invalid x509.CertificateInvalidError
	return err == nil || errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// bearer sends the token, and only over TLS.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// String keeps the token out of logs.
func (bearer) String() string { return "bearer token" }
