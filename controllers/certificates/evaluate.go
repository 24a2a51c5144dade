package certificates

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/internal/enroll"
	"github.com/leno-mesh/leno/internal/identity"
)

// Evaluate decides whether a certificate request may be signed for a caller whose token was accepted: the pod that the
// token is bound to must be alive and run as that service account, and the request must ask for its SPIFFE id and for
// nothing else. pod is nil when there is none of that name. A refusal wraps enroll.ErrRefused.
func Evaluate(trustDomain string, who enroll.Caller, pod *corev1.Pod, csrDER []byte) error {
	want, err := identity.New(trustDomain, who.Namespace, who.ServiceAccount)
	if err != nil {
		return fmt.Errorf("%w: %w", enroll.ErrRefused, err)
	}
	switch {
	case who.Pod == "" || who.PodUID == "":
		return fmt.Errorf("%w: the token is not bound to a pod: use the projected token of the sidecar", enroll.ErrRefused)
	case pod == nil || string(pod.UID) != who.PodUID:
		return fmt.Errorf("%w: pod %s/%s of the token (uid %s) is gone", enroll.ErrRefused, who.Namespace, who.Pod, who.PodUID)
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return fmt.Errorf("%w: pod %s/%s has finished", enroll.ErrRefused, who.Namespace, who.Pod)
	case serviceAccount(pod) != who.ServiceAccount:
		return fmt.Errorf("%w: pod %s/%s runs as service account %s, the token is of %s",
			enroll.ErrRefused, who.Namespace, who.Pod, serviceAccount(pod), who.ServiceAccount)
	}
	if err := enroll.CheckCSR(csrDER, want); err != nil {
		return fmt.Errorf("%w: %w", enroll.ErrRefused, err)
	}
	return nil
}

func serviceAccount(pod *corev1.Pod) string {
	if pod.Spec.ServiceAccountName == "" {
		return "default"
	}
	return pod.Spec.ServiceAccountName
}
