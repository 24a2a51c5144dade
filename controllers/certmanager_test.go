package controllers_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/identity"
	"github.com/leno-mesh/leno/internal/identity/devca"
	"github.com/leno-mesh/leno/internal/mesh"
)

// authority plays cert-manager and the CA behind it.
type authority struct {
	client client.Client
	first  *devca.CA // signed the manager's own certificate

	mu sync.Mutex // guards ca
	ca *devca.CA
}

func newCA(t *testing.T) *authority {
	t.Helper()
	ca, err := devca.New(time.Hour * 24 * 365)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{ca: ca, first: ca}
}

func (a *authority) current() *devca.CA {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ca
}

func (a *authority) bundle() *identity.Bundle { return a.current().Bundle() }

func (a *authority) replace(ca *devca.CA) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ca = ca
}

// renew replaces the CA in the Secret of Certificate leno-ca.
func (a *authority) renew(t *testing.T, c client.Client) {
	t.Helper()
	next := newCA(t).ca
	a.replace(next)
	var secret corev1.Secret
	if err := c.Get(t.Context(), own("leno-ca"), &secret); err != nil {
		t.Fatal(err)
	}
	secret.Data[corev1.TLSCertKey] = next.Bundle().PEM()
	if err := c.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
}

func own(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: mesh.SystemNamespace, Name: name}
}

// play does cert-manager's part until the test ends. Errors show as what then does not happen.
func play(t *testing.T, c client.Client, a *authority) {
	a.client = c
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				for _, part := range []func(context.Context) error{a.issueCA, a.readyIssuer, a.issueServing, a.signWorkloads} {
					if err := client.IgnoreNotFound(part(ctx)); err != nil && ctx.Err() == nil {
						t.Logf("played cert-manager: %v", err)
					}
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

func (a *authority) issueCA(ctx context.Context) error {
	var cert cmapi.Certificate
	if err := a.client.Get(ctx, own("leno-ca"), &cert); err != nil || len(cert.Status.Conditions) > 0 {
		return err
	}
	// What the key is does not matter here: nothing but cert-manager would use it.
	if err := a.secret(ctx, "leno-ca", a.bundle().PEM(), []byte("key")); err != nil {
		return err
	}
	cert.Status.NotAfter = &metav1.Time{Time: a.bundle().Roots()[0].NotAfter}
	cert.Status.Conditions = []cmapi.CertificateCondition{{Type: cmapi.CertificateConditionReady, Status: cmmeta.ConditionTrue, Reason: "Ready"}}
	return a.client.Status().Update(ctx, &cert)
}

func (a *authority) readyIssuer(ctx context.Context) error {
	var issuer cmapi.Issuer
	if err := a.client.Get(ctx, own("leno-mesh"), &issuer); err != nil || len(issuer.Status.Conditions) > 0 {
		return err
	}
	if err := a.client.Get(ctx, own(issuer.Spec.CA.SecretName), &corev1.Secret{}); err != nil {
		return err
	}
	issuer.Status.Conditions = []cmapi.IssuerCondition{{Type: cmapi.IssuerConditionReady, Status: cmmeta.ConditionTrue, Reason: "KeyPairVerified"}}
	return a.client.Status().Update(ctx, &issuer)
}

// issueServing makes a request for the manager's Certificate and waits for its approval before it issues.
func (a *authority) issueServing(ctx context.Context) error {
	var cert cmapi.Certificate
	if err := a.client.Get(ctx, own("leno-manager"), &cert); err != nil || len(cert.Status.Conditions) > 0 {
		return err
	}
	var request cmapi.CertificateRequest
	if err := a.client.Get(ctx, own("leno-manager-1"), &request); err != nil {
		made, err := servingRequest(&cert)
		if err != nil {
			return err
		}
		return a.client.Create(ctx, made)
	}
	if !is(request, cmapi.CertificateRequestConditionApproved) {
		return nil
	}
	pair, err := a.serving(cert.Spec.DNSNames...)
	if err != nil {
		return err
	}
	if err := a.secret(ctx, cert.Spec.SecretName, pair[corev1.TLSCertKey], pair[corev1.TLSPrivateKeyKey]); err != nil {
		return err
	}
	cert.Status.Conditions = []cmapi.CertificateCondition{{Type: cmapi.CertificateConditionReady, Status: cmmeta.ConditionTrue, Reason: "Ready"}}
	return a.client.Status().Update(ctx, &cert)
}

// serving is a serving certificate in the form of a Secret's data.
func (a *authority) serving(names ...string) (map[string][]byte, error) {
	pair, err := a.current().Server(24*time.Hour, names...)
	if err != nil {
		return nil, err
	}
	chain, key, err := devca.PEM(pair)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		corev1.TLSCertKey:       chain,
		corev1.TLSPrivateKeyKey: key,
	}, nil
}

func (a *authority) secret(ctx context.Context, name string, cert, key []byte) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: mesh.SystemNamespace, Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key},
	}
	return client.IgnoreAlreadyExists(a.client.Create(ctx, secret))
}

// signWorkloads signs whatever was approved.
func (a *authority) signWorkloads(ctx context.Context) error {
	var list cmapi.CertificateRequestList
	if err := a.client.List(ctx, &list, client.InNamespace(mesh.SystemNamespace), client.HasLabels{"mesh.leno.dev/workload-certificate"}); err != nil {
		return err
	}
	for _, r := range list.Items {
		if !is(r, cmapi.CertificateRequestConditionApproved) || len(r.Status.Certificate) > 0 {
			continue
		}
		block, _ := pem.Decode(r.Spec.Request)
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return err
		}
		id, err := identity.Parse(csr.URIs[0].String())
		if err != nil {
			return err
		}
		if r.Status.Certificate, err = a.current().Workload(id, csr.PublicKey, r.Spec.Duration.Duration); err != nil {
			return err
		}
		r.Status.CA = a.bundle().PEM()
		r.Status.Conditions = append(r.Status.Conditions, cmapi.CertificateRequestCondition{
			Type: cmapi.CertificateRequestConditionReady, Status: cmmeta.ConditionTrue, Reason: cmapi.CertificateRequestReasonIssued,
		})
		if err := a.client.Status().Update(ctx, &r); err != nil {
			return fmt.Errorf("sign %s: %w", r.Name, err)
		}
	}
	return nil
}

func is(r cmapi.CertificateRequest, kind cmapi.CertificateRequestConditionType) bool {
	for _, c := range r.Status.Conditions {
		if c.Type == kind {
			return c.Status == cmmeta.ConditionTrue
		}
	}
	return false
}

func servingRequest(cert *cmapi.Certificate) (*cmapi.CertificateRequest, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: cert.Spec.DNSNames}, key)
	if err != nil {
		return nil, err
	}
	yes := true
	return &cmapi.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: mesh.SystemNamespace, Name: "leno-manager-1",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "cert-manager.io/v1", Kind: "Certificate", Name: cert.Name, UID: cert.UID, Controller: &yes}},
		},
		Spec: cmapi.CertificateRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), IssuerRef: cert.Spec.IssuerRef,
			Duration: cert.Spec.Duration, Usages: cert.Spec.Usages,
		},
	}, nil
}

// requestFor is a request for a workload's identity that no manager made.
func requestFor(t *testing.T, key crypto.Signer, id identity.ID) *cmapi.CertificateRequest {
	t.Helper()
	csr, err := identity.NewCSR(key, id)
	if err != nil {
		t.Fatal(err)
	}
	return &cmapi.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: mesh.SystemNamespace, Name: "by-hand"},
		Spec: cmapi.CertificateRequestSpec{
			Request:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}),
			IssuerRef: cmmeta.IssuerReference{Name: "leno-mesh", Kind: "Issuer", Group: "cert-manager.io"},
			Usages:    []cmapi.KeyUsage{cmapi.UsageClientAuth},
		},
	}
}

func id(namespace, account string) identity.ID {
	return identity.ID{TrustDomain: "cluster.local", Namespace: namespace, ServiceAccount: account}
}
