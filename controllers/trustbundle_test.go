package controllers_test

import (
	"fmt"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// testClusterTrustBundle: a policy follows the bundle that it names when that is missing, made, changed and deleted.
func (m *running) testClusterTrustBundle(t *testing.T, ca *authority) {
	const namespace, name = "default", "trusting"
	port := gatewayv1.PortNumber(443)
	backend := gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: name, Port: &port}}}
	policy := &gatewayv1.BackendTLSPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: gatewayv1.BackendTLSPolicySpec{
			TargetRefs: []gatewayv1.LocalPolicyTargetReferenceWithSectionName{
				{LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: name}},
			},
			Validation: gatewayv1.BackendTLSPolicyValidation{
				Hostname:          "trusting.example.com",
				CACertificateRefs: []gatewayv1.LocalObjectReference{{Group: "certificates.k8s.io", Kind: "ClusterTrustBundle", Name: name}},
			},
		},
	}
	m.create(t,
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(8443)}}},
		},
		&gatewayv1.Gateway{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: gatewayv1.GatewaySpec{
				GatewayClassName: "leno", Listeners: []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
			},
		},
		&gatewayv1.HTTPRoute{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: gatewayv1.HTTPRouteSpec{
				CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: name}}},
				Rules:           []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{backend}}},
			},
		},
		policy,
	)
	resolved := func(what string, value metav1.ConditionStatus, reason gatewayv1.PolicyConditionReason) {
		t.Helper()
		eventually(t, "a bundle that is "+what, func() string {
			if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
				return err.Error()
			}
			for _, a := range policy.Status.Ancestors {
				if c := meta.FindStatusCondition(a.Conditions, "ResolvedRefs"); c != nil && c.Status == value && c.Reason == string(reason) {
					return ""
				}
			}
			return fmt.Sprintf("%+v", policy.Status.Ancestors)
		})
	}
	good := func() {
		resolved("good", metav1.ConditionTrue, gatewayv1.BackendTLSPolicyReasonResolvedRefs)
	}
	resolved("missing", metav1.ConditionFalse, gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef)
	bundle := func() *certificatesv1.ClusterTrustBundle {
		return &certificatesv1.ClusterTrustBundle{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: string(ca.bundle().PEM())},
		}
	}
	m.create(t, bundle())
	good()
	if err := m.client.Delete(t.Context(), bundle()); err != nil {
		t.Fatal(err)
	}
	resolved("deleted", metav1.ConditionFalse, gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef)
	m.create(t, bundle())
	good()
}
