package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/leno-mesh/leno/api/v1alpha1"
	"github.com/leno-mesh/leno/internal/mesh"
)

// testGatewayParameters: a Gateway waits for the parameters that it refers to, follows them, and keeps what it has when they are gone; so
// does its class.
func (m *running) testGatewayParameters(t *testing.T) {
	edge := &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "edge"},
		Spec: gatewayv1.GatewaySpec{
			GatewayClassName: mesh.GatewayClass,
			Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
			Infrastructure: &gatewayv1.GatewayInfrastructure{ParametersRef: &gatewayv1.LocalParametersReference{
				Group: "mesh.leno.dev", Kind: "GatewayParameters", Name: "edge",
			}},
		},
	}
	m.create(t, edge)
	class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: mesh.GatewayClass}}
	m.accepted(t, class, metav1.ConditionTrue, "Accepted", "")
	m.accepted(t, edge, metav1.ConditionFalse, "InvalidParameters", "GatewayParameters default/edge do not exist: create them")

	own := &v1alpha1.GatewayParameters{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "edge"},
		Spec: v1alpha1.GatewayParametersSpec{
			Replicas:  new(int32(2)),
			Resources: &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("16Mi")}},
		},
	}
	m.create(t, own)
	m.accepted(t, edge, metav1.ConditionTrue, "Accepted", "")
	eventually(t, "two proxies", m.deployment(t, 2, "memory 16Mi"))
	own.Spec.Replicas = new(int32(3))
	if err := m.client.Update(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three proxies", m.deployment(t, 3, "memory 16Mi"))

	if err := m.client.Delete(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	m.accepted(t, edge, metav1.ConditionFalse, "InvalidParameters", "default/edge do not exist")
	eventually(t, "what the Gateway had", m.deployment(t, 3, "memory 16Mi"))

	m.edit(t, class, func() {
		class.Spec.ParametersRef = &gatewayv1.ParametersReference{
			Group: "mesh.leno.dev", Kind: "GatewayParameters", Namespace: new(gatewayv1.Namespace("default")), Name: "all",
		}
	})
	m.edit(t, edge, func() { edge.Spec.Infrastructure.ParametersRef = nil })
	m.accepted(t, class, metav1.ConditionFalse, "InvalidParameters", "GatewayParameters default/all do not exist: create them")
	m.accepted(t, edge, metav1.ConditionFalse, "InvalidParameters", "GatewayClass leno is not accepted")
	m.create(t, &v1alpha1.GatewayParameters{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "all"}, Spec: v1alpha1.GatewayParametersSpec{Replicas: new(int32(4))},
	})
	m.accepted(t, class, metav1.ConditionTrue, "Accepted", "")
	m.accepted(t, edge, metav1.ConditionTrue, "Accepted", "")
	eventually(t, "what the class says", m.deployment(t, 4, "cpu 100m, memory 64Mi"))
}

// deployment waits for the proxies of Gateway default/edge.
func (m *running) deployment(t *testing.T, replicas int32, requests string) func() string {
	return func() string {
		var d appsv1.Deployment
		if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: mesh.GatewayResource("edge")}, &d); err != nil {
			return err.Error()
		}
		var has []string
		for name, amount := range d.Spec.Template.Spec.Containers[0].Resources.Requests {
			has = append(has, string(name)+" "+amount.String())
		}
		slices.Sort(has)
		if *d.Spec.Replicas != replicas || strings.Join(has, ", ") != requests {
			return fmt.Sprintf("%d replicas, requests %v", *d.Spec.Replicas, has)
		}
		return ""
	}
}

// accepted waits for the condition Accepted of a Gateway or GatewayClass, with some words.
func (m *running) accepted(t *testing.T, of client.Object, value metav1.ConditionStatus, reason, words string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%T %s: Accepted is %s, %s", of, of.GetName(), value, reason), func() string {
		if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(of), of); err != nil {
			return err.Error()
		}
		var all []metav1.Condition
		switch o := of.(type) {
		case *gatewayv1.Gateway:
			all = o.Status.Conditions
		case *gatewayv1.GatewayClass:
			all = o.Status.Conditions
		}
		c := meta.FindStatusCondition(all, "Accepted")
		if c == nil || c.Status != value || c.Reason != reason || !strings.Contains(c.Message, words) {
			return fmt.Sprintf("%+v", c)
		}
		return ""
	})
}

// edit changes an object as it is now.
func (m *running) edit(t *testing.T, o client.Object, change func()) {
	t.Helper()
	eventually(t, "edit "+o.GetName(), func() string {
		if err := m.client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err.Error()
		}
		change()
		if err := m.client.Update(t.Context(), o); err != nil {
			return err.Error()
		}
		return ""
	})
}
