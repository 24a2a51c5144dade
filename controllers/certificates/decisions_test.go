package certificates

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func key(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func csr(t *testing.T, account string) []byte {
	t.Helper()
	der, err := identity.NewCSR(key(t), identity.ID{TrustDomain: "cluster.local", Namespace: "shop", ServiceAccount: account})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestEvaluate(t *testing.T) {
	who := enroll.Caller{Namespace: "shop", ServiceAccount: "cart", Pod: "cart-1", PodUID: "uid-1"}
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1", UID: "uid-1"}, Spec: corev1.PodSpec{ServiceAccountName: "cart"}}
		change(p)
		return p
	}
	alive := pod(func(*corev1.Pod) {})
	unbound := who
	unbound.Pod, unbound.PodUID = "", ""
	for what, tc := range map[string]struct {
		who   enroll.Caller
		pod   *corev1.Pod
		csr   []byte
		wants string // words of the refusal, "" when there is none
	}{
		"a live pod asks for its own identity":     {who, alive, csr(t, "cart"), ""},
		"a pod that is being stopped still works":  {who, pod(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }), csr(t, "cart"), ""},
		"a live pod asks for another identity":     {who, alive, csr(t, "bank"), "another identity"},
		"the token is not bound to a pod":          {unbound, alive, csr(t, "cart"), "not bound to a pod"},
		"the pod is gone":                          {who, nil, csr(t, "cart"), "is gone"},
		"the pod was replaced by one of its name":  {who, pod(func(p *corev1.Pod) { p.UID = "uid-2" }), csr(t, "cart"), "is gone"},
		"the pod has finished":                     {who, pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), csr(t, "cart"), "has finished"},
		"the pod runs as another account":          {who, pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "bank" }), csr(t, "cart"), "runs as service account bank"},
		"the request is garbage":                   {who, alive, []byte("garbage"), "PKCS #10"},
		"a pod without an account runs as default": {enroll.Caller{Namespace: "shop", ServiceAccount: "default", Pod: "cart-1", PodUID: "uid-1"}, pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "" }), csr(t, "default"), ""},
	} {
		t.Run(what, func(t *testing.T) {
			err := Evaluate("cluster.local", tc.who, tc.pod, tc.csr)
			switch {
			case tc.wants == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.wants != "" && (!errors.Is(err, enroll.ErrRefused) || !strings.Contains(err.Error(), tc.wants)):
				t.Errorf("got %v, want a refusal with %q", err, tc.wants)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	ours := func() *cmapi.Certificate { return chain()[3].(*cmapi.Certificate) }
	good := ownRequest(t, ours(), ours().Spec.DNSNames)
	workload := func(age time.Duration, conditions ...cmapi.CertificateRequestCondition) *cmapi.CertificateRequest {
		r := &cmapi.CertificateRequest{ObjectMeta: metav1.ObjectMeta{
			Name: "workload-1", Labels: map[string]string{LabelWorkload: "true"}, CreationTimestamp: metav1.NewTime(now.Add(-age)),
		}}
		r.Spec.IssuerRef, r.Status.Conditions = issuerRef(MeshIssuer), conditions
		return r
	}
	is := func(kind cmapi.CertificateRequestConditionType, reason string) cmapi.CertificateRequestCondition {
		value := cmmeta.ConditionTrue
		if reason != "" && reason != cmapi.CertificateRequestReasonIssued {
			value = cmmeta.ConditionFalse
		}
		return cmapi.CertificateRequestCondition{Type: kind, Status: value, Reason: reason}
	}
	approved, issued := is(cmapi.CertificateRequestConditionApproved, ""), is(cmapi.CertificateRequestConditionReady, cmapi.CertificateRequestReasonIssued)
	failed := is(cmapi.CertificateRequestConditionReady, cmapi.CertificateRequestReasonFailed)
	by := func(r *cmapi.CertificateRequest, change func(*cmapi.CertificateRequest)) *cmapi.CertificateRequest {
		r = r.DeepCopy()
		change(r)
		return r
	}
	foreign := by(workload(0), func(r *cmapi.CertificateRequest) { r.Labels = nil })
	for what, tc := range map[string]struct {
		c     Case
		want  Action
		again time.Duration
	}{
		"a workload's request that was just made waits for its replica": {Case{Request: workload(time.Second)}, Leave, vouchWithin - time.Second},
		"one that nobody vouches for is denied":                         {Case{Request: workload(vouchWithin)}, Deny, 0},
		"an approved one is cert-manager's":                             {Case{Request: workload(time.Second, approved)}, Leave, keepUnfinished - time.Second},
		"an issued one stays for a while":                               {Case{Request: workload(time.Minute, approved, issued)}, Leave, keepFinished - time.Minute},
		"and goes then":                                                 {Case{Request: workload(keepFinished, approved, issued)}, Delete, 0},
		"so does a failed one":                                          {Case{Request: workload(keepFinished, approved, failed)}, Delete, 0},
		"one that nobody finishes goes too":                             {Case{Request: workload(keepUnfinished, approved)}, Delete, 0},
		"our own Certificate's request is approved":                     {Case{Request: good, Owner: ours(), Ours: true}, Approve, 0},
		"not with other names":                                          {Case{Request: ownRequest(t, ours(), []string{"bank.shop.svc"}), Owner: ours(), Ours: true}, Deny, 0},
		"not as a CA":                                                   {Case{Request: by(good, func(r *cmapi.CertificateRequest) { r.Spec.IsCA = true }), Owner: ours(), Ours: true}, Deny, 0},
		"not for other usages":                                          {Case{Request: by(good, func(r *cmapi.CertificateRequest) { r.Spec.Usages = append(r.Spec.Usages, cmapi.UsageClientAuth) }), Owner: ours(), Ours: true}, Deny, 0},
		"not for longer":                                                {Case{Request: by(good, func(r *cmapi.CertificateRequest) { r.Spec.Duration = &metav1.Duration{Duration: caLifetime} }), Owner: ours(), Ours: true}, Deny, 0},
		"not from another issuer":                                       {Case{Request: by(good, func(r *cmapi.CertificateRequest) { r.Spec.IssuerRef.Name = SelfSignedIssuer }), Owner: ours(), Ours: true}, Deny, 0},
		"a decided one is left alone":                                   {Case{Request: by(good, func(r *cmapi.CertificateRequest) { r.Status.Conditions = []cmapi.CertificateRequestCondition{approved} }), Owner: ours(), Ours: true}, Leave, 0},
		"somebody's request to the mesh's issuer is denied":             {Case{Request: foreign}, Deny, 0},
		"another Certificate's too":                                     {Case{Request: foreign, Owner: &cmapi.Certificate{}}, Deny, 0},
		"a request to another issuer is not ours": {Case{Request: by(foreign, func(r *cmapi.CertificateRequest) {
			r.Spec.IssuerRef.Name = "vault"
		})}, Leave, 0},
	} {
		t.Run(what, func(t *testing.T) {
			tc.c.Now = now
			got := Judge(tc.c)
			if got.Action != tc.want || got.Again != tc.again {
				t.Errorf("got %+v, want %s, again in %s", got, tc.want, tc.again)
			}
			if got.Action != Leave && got.Reason == "" {
				t.Error("no reason given")
			}
		})
	}
}

func ownRequest(t *testing.T, owner *cmapi.Certificate, names []string) *cmapi.CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{DNSNames: names}, key(t))
	if err != nil {
		t.Fatal(err)
	}
	return &cmapi.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Name: owner.Name + "-1", CreationTimestamp: metav1.NewTime(now)},
		Spec: cmapi.CertificateRequestSpec{
			Request:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			IssuerRef: owner.Spec.IssuerRef, Duration: owner.Spec.Duration, Usages: owner.Spec.Usages,
		},
	}
}

func TestPromote(t *testing.T) {
	old, next := certificate(t), certificate(t)
	const propagation = 5 * time.Minute
	expired := *old
	expired.NotAfter = now
	for what, tc := range map[string]struct {
		s       Staging
		promote bool
		wait    time.Duration
	}{
		"cert-manager has not made a CA yet":                      {Staging{}, false, 0},
		"the first CA signs at once":                              {Staging{Next: next}, true, 0},
		"nothing is new":                                          {Staging{Next: old, Current: old}, false, 0},
		"a new root is not in the bundle yet":                     {Staging{Next: next, Current: old}, false, propagation},
		"a new root is on its way":                                {Staging{Next: next, Current: old, Since: now.Add(-time.Minute)}, false, 4 * time.Minute},
		"a new root is everywhere":                                {Staging{Next: next, Current: old, Since: now.Add(-propagation)}, true, 0},
		"waiting for the successor of an expired CA helps nobody": {Staging{Next: next, Current: &expired}, true, 0},
	} {
		t.Run(what, func(t *testing.T) {
			tc.s.Propagation = propagation
			promote, wait := Promote(now, tc.s)
			if promote != tc.promote || wait != tc.wait {
				t.Errorf("got %v after %s, want %v after %s", promote, wait, tc.promote, tc.wait)
			}
		})
	}
}

func TestNextBundle(t *testing.T) {
	a, b := certificate(t), certificate(t)
	before, addition := identity.NewBundle(a), identity.NewBundle(b)
	both := NextBundle(a.NotAfter.Add(-time.Second), before, addition, nil)
	if !both.Equal(identity.NewBundle(a, b)) {
		t.Errorf("%d roots while both are valid, want both", len(both.Roots()))
	}
	if left := NextBundle(a.NotAfter, before, addition); len(left.Roots()) != 0 {
		t.Errorf("%d roots after all have expired", len(left.Roots()))
	}
}

func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	ca, err := devca.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	root := *ca.Bundle().Roots()[0]
	root.NotAfter = root.NotAfter.AddDate(10, 0, 0) // after now, whenever the test runs
	return &root
}

func TestLifetime(t *testing.T) {
	ca := certificate(t)
	trust := &Trust{}
	trust.signing.Store(ca)
	own := Settings{Own: true, Lifetime: 24 * time.Hour}
	for what, tc := range map[string]struct {
		s    Settings
		left time.Duration // of the CA
		want time.Duration
	}{
		"a CA that lives long":          {own, 48 * time.Hour, 24 * time.Hour},
		"a leaf never outlives its CA":  {own, time.Hour, time.Hour - expiryMargin},
		"a CA that is about to end":     {own, time.Second, expiryMargin},
		"another issuer sees to itself": {Settings{Lifetime: 24 * time.Hour}, time.Hour, 24 * time.Hour},
	} {
		if got := trust.lifetime(tc.s, ca.NotAfter.Add(-tc.left)); got != tc.want {
			t.Errorf("%s: %s, want %s", what, got, tc.want)
		}
	}
}

func TestCallerOf(t *testing.T) {
	valid := authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{"leno"},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:shop:cart",
			Extra:    map[string]authenticationv1.ExtraValue{extraPodName: {"cart-1"}, extraPodUID: {"uid-1"}},
		},
	}
	if got, err := callerOf(valid); err != nil || got != (enroll.Caller{Namespace: "shop", ServiceAccount: "cart", Pod: "cart-1", PodUID: "uid-1"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for what, change := range map[string]func(*authenticationv1.TokenReviewStatus){
		"an invalid token":   func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false },
		"another audience":   func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"api"} },
		"no audience at all": func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil },
		"a user":             func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "admin" },
		"half an account":    func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:shop" },
	} {
		s := *valid.DeepCopy()
		change(&s)
		if _, err := callerOf(s); !errors.Is(err, enroll.ErrRefused) {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
	}
}
