// Package certificates owns the chain of trust and the certificates of workloads. cert-manager signs; this package says
// what is to be signed, approves what may be signed, and spreads the roots.
//
//	self-signed Issuer -> Certificate leno-ca -> Secret leno-ca (the next CA)
//	                                                |  its root is in every trust bundle for a while, then
//	                                                v
//	                           Secret leno-ca-signing (the CA in use) -> Issuer leno-mesh
//	                                                                        |-> Certificate leno-manager: webhook and xDS
//	                                                                        '-> CertificateRequests of workloads
//
// Decisions are functions of data (Judge, Evaluate, NextBundle, Promote); the reconcilers only gather and act.
package certificates

import (
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leno-mesh/leno/internal/mesh"
)

// Names of what the operator owns in its namespace.
const (
	SelfSignedIssuer   = "leno-selfsigned"
	MeshIssuer         = "leno-mesh"
	CACertificate      = "leno-ca"         // and of its Secret: the next CA
	SigningSecret      = "leno-ca-signing" // the CA in use
	ServingCertificate = "leno-manager"
	ServingSecret      = "leno-manager-tls"

	// LabelWorkload marks the CertificateRequests of workloads.
	LabelWorkload = "mesh.leno.dev/workload-certificate"
)

// Lifetimes. A CA is renewed when two thirds have passed (cert-manager's default).
const (
	caLifetime      = 10 * 365 * 24 * time.Hour
	servingLifetime = 90 * 24 * time.Hour
)

// chain is every object of cert-manager that the operator wants to exist.
func chain() []client.Object {
	return []client.Object{
		&cmapi.Issuer{
			ObjectMeta: named(SelfSignedIssuer),
			Spec:       cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{SelfSigned: &cmapi.SelfSignedIssuer{}}},
		},
		&cmapi.Certificate{
			ObjectMeta: named(CACertificate),
			Spec: cmapi.CertificateSpec{
				SecretName: CACertificate,
				CommonName: "Leno mesh CA",
				IsCA:       true,
				Duration:   &metav1.Duration{Duration: caLifetime},
				IssuerRef:  issuerRef(SelfSignedIssuer),
				PrivateKey: ecdsaKey(),
				Usages:     []cmapi.KeyUsage{cmapi.UsageCertSign, cmapi.UsageCRLSign},
			},
		},
		&cmapi.Issuer{
			ObjectMeta: named(MeshIssuer),
			Spec:       cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{CA: &cmapi.CAIssuer{SecretName: SigningSecret}}},
		},
		&cmapi.Certificate{
			ObjectMeta: named(ServingCertificate),
			Spec: cmapi.CertificateSpec{
				SecretName: ServingSecret,
				DNSNames:   []string{mesh.ManagerServerName, mesh.ManagerServerName + ".cluster.local"},
				Duration:   &metav1.Duration{Duration: servingLifetime},
				IssuerRef:  issuerRef(MeshIssuer),
				PrivateKey: ecdsaKey(),
				Usages:     []cmapi.KeyUsage{cmapi.UsageDigitalSignature, cmapi.UsageServerAuth},
			},
		},
	}
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: mesh.SystemNamespace,
		Name:      name,
		Labels:    map[string]string{"app.kubernetes.io/managed-by": "leno"},
	}
}

func issuerRef(name string) cmmeta.IssuerReference {
	return cmmeta.IssuerReference{Name: name, Kind: cmapi.IssuerKind, Group: "cert-manager.io"}
}

func ecdsaKey() *cmapi.CertificatePrivateKey {
	return &cmapi.CertificatePrivateKey{Algorithm: cmapi.ECDSAKeyAlgorithm, Size: 256, RotationPolicy: cmapi.RotationPolicyAlways}
}
