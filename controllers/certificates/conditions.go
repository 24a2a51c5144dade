package certificates

import (
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// condition finds a condition of a request that is true.
func condition(r *cmapi.CertificateRequest, kind cmapi.CertificateRequestConditionType) (cmapi.CertificateRequestCondition, bool) {
	for _, c := range r.Status.Conditions {
		if c.Type == kind {
			return c, c.Status == cmmeta.ConditionTrue
		}
	}
	return cmapi.CertificateRequestCondition{}, false
}

// decided tells whether a request was approved or denied already.
func decided(r *cmapi.CertificateRequest) bool {
	_, approved := condition(r, cmapi.CertificateRequestConditionApproved)
	_, denied := condition(r, cmapi.CertificateRequestConditionDenied)
	return approved || denied
}

// finished tells whether cert-manager is done with a request, well or not, and if not well, why.
func finished(r *cmapi.CertificateRequest) (done bool, failure string) {
	ready, issued := condition(r, cmapi.CertificateRequestConditionReady)
	if issued {
		return true, ""
	}
	if invalid, ok := condition(r, cmapi.CertificateRequestConditionInvalidRequest); ok {
		return true, "invalid: " + invalid.Message
	}
	switch ready.Reason {
	case cmapi.CertificateRequestReasonFailed:
		return true, "failed: " + ready.Message
	case cmapi.CertificateRequestReasonDenied:
		return true, "denied: " + ready.Message
	}
	return false, ready.Message
}

// decide writes an approval or a denial into a request that has neither.
func decide(r *cmapi.CertificateRequest, approve bool, message string, now metav1.Time) {
	kind, reason := cmapi.CertificateRequestConditionDenied, "mesh.leno.dev/Denied"
	if approve {
		kind, reason = cmapi.CertificateRequestConditionApproved, "mesh.leno.dev/Approved"
	}
	r.Status.Conditions = append(r.Status.Conditions, cmapi.CertificateRequestCondition{
		Type: kind, Status: cmmeta.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: &now,
	})
}
