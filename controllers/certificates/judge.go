package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
)

// Times of CertificateRequests.
const (
	// keepFinished is how long a finished request of a workload stays, for people to look at.
	keepFinished = 10 * time.Minute
	// keepUnfinished is when one that nobody finished is given up: its caller has long gone.
	keepUnfinished = time.Hour
	// vouchWithin is how long after its creation a workload's request may still get the approval of the replica that
	// authenticated its caller. It takes milliseconds; a replica that dies in between leaves a request nobody vouches for.
	vouchWithin = 30 * time.Second
)

// Verdict is what to do with a CertificateRequest.
type Verdict struct {
	Action Action
	Reason string // for people: in the condition and in the Event
	// Again is when to look again; 0: when it changes.
	Again time.Duration
}

// Action is one of the things that can be done.
type Action string

// The actions.
const (
	Leave   Action = "leave"
	Approve Action = "approve"
	Deny    Action = "deny"
	Delete  Action = "delete"
)

// Case is a CertificateRequest in the operator's namespace and what is known about it.
type Case struct {
	Now     time.Time
	Request *cmapi.CertificateRequest
	// Owner is the Certificate that controls the request, nil when there is none. Ours tells whether it is the operator's.
	Owner *cmapi.Certificate
	Ours  bool
}

// Judge decides about one request.
//
// The requests of workloads are approved where their callers were authenticated, by the replica that made them (see
// Signer), never from what stands in them: whoever could write a CertificateRequest could write that too. Here they are
// denied when nobody vouched for them, and deleted when they are over. Requests of the operator's own Certificates are
// approved, in case cert-manager runs without its approver, if they ask for exactly what the Certificate says.
func Judge(c Case) Verdict {
	r, age := c.Request, c.Now.Sub(c.Request.CreationTimestamp.Time)
	workload := r.Labels[LabelWorkload] != ""
	done, _ := finished(r)
	switch {
	case workload && done && age >= keepFinished:
		return Verdict{Action: Delete, Reason: "finished"}
	case workload && age >= keepUnfinished:
		return Verdict{Action: Delete, Reason: "nobody finished it"}
	case workload && done:
		return Verdict{Action: Leave, Again: keepFinished - age}
	case decided(r):
		return Verdict{Action: Leave, Again: againIf(workload, keepUnfinished-age)}
	case workload && age < vouchWithin:
		return Verdict{Action: Leave, Again: vouchWithin - age}
	case workload:
		return Verdict{Action: Deny, Reason: "no manager vouches for it: requests of workloads are made by the manager for pods that it authenticated"}
	case c.Owner != nil && c.Ours:
		return judgeOwn(c)
	case usesOwnIssuer(r.Spec.IssuerRef):
		return Verdict{Action: Deny, Reason: fmt.Sprintf("issuer %s signs for the mesh only: make an Issuer of your own", r.Spec.IssuerRef.Name)}
	default:
		return Verdict{Action: Leave}
	}
}

func againIf(yes bool, d time.Duration) time.Duration {
	if yes {
		return d
	}
	return 0
}

// judgeOwn compares a request with the Certificate of ours that it is for.
func judgeOwn(c Case) Verdict {
	if c.Request.Spec.IssuerRef != c.Owner.Spec.IssuerRef {
		return Verdict{Action: Deny, Reason: fmt.Sprintf("Certificate %s names another issuer", c.Owner.Name)}
	}
	if err := matches(c.Request, c.Owner.Spec); err != nil {
		return Verdict{Action: Deny, Reason: fmt.Sprintf("it is not what Certificate %s says: %v", c.Owner.Name, err)}
	}
	return Verdict{Action: Approve, Reason: fmt.Sprintf("it asks for what Certificate %s says", c.Owner.Name)}
}

// matches compares a request with a Certificate of the operator's, which have a common name or DNS names and nothing else.
func matches(r *cmapi.CertificateRequest, spec cmapi.CertificateSpec) error {
	block, _ := pem.Decode(r.Spec.Request)
	if block == nil {
		return fmt.Errorf("no PEM in it")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return err
	}
	switch {
	case r.Spec.IsCA != spec.IsCA:
		return fmt.Errorf("isCA is %v", r.Spec.IsCA)
	case r.Spec.Duration == nil || spec.Duration == nil || *r.Spec.Duration != *spec.Duration:
		return fmt.Errorf("another duration")
	case !sameSet(r.Spec.Usages, spec.Usages):
		return fmt.Errorf("usages are %v", r.Spec.Usages)
	case csr.Subject.CommonName != spec.CommonName:
		return fmt.Errorf("common name is %q", csr.Subject.CommonName)
	case !sameSet(csr.DNSNames, spec.DNSNames):
		return fmt.Errorf("DNS names are %q", csr.DNSNames)
	case len(csr.URIs)+len(csr.IPAddresses)+len(csr.EmailAddresses) > 0:
		return fmt.Errorf("it has names of other kinds")
	}
	return nil
}

func sameSet[T ~string](a, b []T) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func usesOwnIssuer(ref cmmeta.IssuerReference) bool {
	return (ref.Group == "" || ref.Group == "cert-manager.io") && (ref.Kind == "" || ref.Kind == cmapi.IssuerKind) &&
		(ref.Name == MeshIssuer || ref.Name == SelfSignedIssuer)
}
