package controllers_test

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// testAddresses: a Gateway asks for a ClusterIP that it cannot have, and then for one that it can.
func (m *running) testAddresses(t *testing.T) {
	var kubernetes corev1.Service
	if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &kubernetes); err != nil {
		t.Fatal(err)
	}
	inside := netip.MustParseAddr(kubernetes.Spec.ClusterIP).As4()
	inside[3] = 10 // of those that an API server gives to nobody who does not ask, as long as there are others
	wanted := netip.AddrFrom4(inside).String()
	gateway := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "inner"},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: "leno",
			Addresses:        []gatewayv1.GatewaySpecAddress{{Value: "192.0.2.1", Routability: gatewayv1.GatewayAddressRoutabilityCluster}},
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
		},
	}
	m.create(t, gateway)
	settled := func(kind gatewayv1.GatewayConditionType, value metav1.ConditionStatus, reason gatewayv1.GatewayConditionReason) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s %s", kind, reason), func() string {
			if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(gateway), gateway); err != nil {
				return err.Error()
			}
			c := meta.FindStatusCondition(gateway.Status.Conditions, string(kind))
			if c == nil || c.Status != value || c.Reason != string(reason) || c.ObservedGeneration != gateway.Generation {
				return fmt.Sprintf("%+v", gateway.Status.Conditions)
			}
			return ""
		})
	}
	settled(gatewayv1.GatewayConditionAddressesAssigned, metav1.ConditionFalse, gatewayv1.GatewayReasonAddressesNotAssigned)
	settled(gatewayv1.GatewayConditionProgrammed, metav1.ConditionFalse, gatewayv1.GatewayReasonAddressNotAssigned)
	if len(gateway.Status.Addresses) > 0 {
		t.Errorf("addresses %+v", gateway.Status.Addresses)
	}

	before := gateway.DeepCopy()
	gateway.Spec.Addresses[0].Value = wanted
	if err := m.client.Patch(t.Context(), gateway, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	settled(gatewayv1.GatewayConditionAddressesAssigned, metav1.ConditionTrue, gatewayv1.GatewayReasonAddressesAssigned)
	if a := gateway.Status.Addresses; len(a) != 1 || a[0].Value != wanted || a[0].Routability == nil || *a[0].Routability != gatewayv1.GatewayAddressRoutabilityCluster {
		t.Errorf("addresses %+v", a)
	}

	// Everything else of the Service follows, also where the address does not.
	before = gateway.DeepCopy()
	gateway.Spec.Addresses[0].Value = kubernetes.Spec.ClusterIP // taken
	gateway.Spec.Listeners[0].Port = 81
	if err := m.client.Patch(t.Context(), gateway, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	settled(gatewayv1.GatewayConditionAddressesAssigned, metav1.ConditionFalse, gatewayv1.GatewayReasonAddressesNotAssigned)
	eventually(t, "the Service of the Gateway", func() string {
		var service corev1.Service
		if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "inner-leno"}, &service); err != nil {
			return err.Error()
		}
		if service.Spec.ClusterIP != wanted || service.Spec.Ports[0].Port != 81 {
			return fmt.Sprintf("%+v", service.Spec)
		}
		return ""
	})
}
